//! Everything that can be found wrong with a pipeline file before a node carries it out.
//!
//! The catalog finds what the file alone tells; here stands what needs files beside it and the SQL planner: code folders that
//! are not there, columns that a query does not have, outputs that it does not write, keys of another type than the table's.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::pipeline::{Known, Located, Mistake, OutputSpec, Pipeline, QuerySpec, SqlText, Survey};
use millstream_catalog::{ColumnType, DocumentOutput, KeyType, OutputTarget, QueryFunction};
use millstream_function::check_runtime;
use millstream_portal::openapi;
use millstream_query::{FunctionError, InputSchema, PlanError, PlanErrorCode, Program, check_functions, plan_with};

use super::package::package;
use super::{embedded, hub};

/// A pipeline file without mistakes, and what it names.
#[derive(Debug)]
pub struct Checked {
    /// What it describes.
    pub pipeline: Pipeline,
    /// SQL files by the name that the pipeline file gives them.
    pub sql_files: BTreeMap<String, String>,
    /// Code packages (zip, base64) by the name that the pipeline file gives them.
    pub packages: BTreeMap<String, String>,
    /// OpenAPI documents by the name that the pipeline file gives them.
    pub documents: BTreeMap<String, String>,
}

/// Checks a pipeline file's text; files that it names are looked for in `folder`. It may refer to what is `known`.
///
/// # Errors
/// Every mistake; never empty.
pub fn check(file: &str, text: &str, folder: &Path, known: &Known) -> Result<Checked, Vec<Mistake>> {
    let Survey { pipeline, mistakes, unsure } = Survey::of(file, text, known);
    let Some(mut pipeline) = pipeline else { return Err(mistakes) };
    let mut checker = Checker { file, folder, mistakes };
    let packages = checker.packages(&pipeline);
    let sql_files = checker.sql_files(&pipeline);
    let documents = checker.documents(&pipeline);
    checker.runtimes(&pipeline);
    checker.mistakes.extend(embedded::mistakes(file, &pipeline));
    pipeline.queries.retain(|query| !unsure.contains(&query.value.name));
    checker.mistakes.extend(queries(file, folder, &pipeline, &sql_files));
    checker.mistakes.extend(hub::mistakes(file, &pipeline));
    if checker.mistakes.is_empty() {
        return Ok(Checked { pipeline, sql_files, packages, documents });
    }
    checker.mistakes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    checker.mistakes.dedup();
    Err(checker.mistakes)
}

/// Checks the queries of a pipeline: their SQL, and their outputs.
pub fn queries(file: &str, folder: &Path, pipeline: &Pipeline, sql_files: &BTreeMap<String, String>) -> Vec<Mistake> {
    let mut checker = Checker { file, folder, mistakes: Vec::new() };
    pipeline.queries.iter().for_each(|query| checker.query(pipeline, query, sql_files));
    checker.mistakes
}

/// Mistakes as they are printed, one after the other.
pub fn told(mistakes: &[Mistake]) -> String {
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    told.join("\n")
}

struct Checker<'c> {
    file: &'c str,
    folder: &'c Path,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn wrong(&mut self, line: usize, message: String, hint: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, message, hint: hint.into() });
    }

    fn packages(&mut self, pipeline: &Pipeline) -> BTreeMap<String, String> {
        let mut packages = BTreeMap::new();
        for function in &pipeline.functions {
            let Located { value: code, line } = &function.value.code;
            let name = code.display().to_string();
            match package(&self.folder.join(code)) {
                Ok(zip) => {
                    packages.insert(name, STANDARD.encode(zip));
                }
                Err(error) => self.wrong(
                    *line,
                    format!("cannot read the code of `{}` at {name}: {error}", function.value.name),
                    "name the folder of the code, relative to the pipeline file",
                ),
            }
        }
        packages
    }

    fn sql_files(&mut self, pipeline: &Pipeline) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for query in &pipeline.queries {
            let SqlText::File(Located { value: path, line }) = &query.value.sql else { continue };
            match std::fs::read_to_string(self.folder.join(path)) {
                Ok(text) => {
                    texts.insert(path.display().to_string(), text);
                }
                Err(error) => {
                    let hint = "name the file of the query's text, relative to the pipeline file";
                    self.wrong(*line, format!("cannot read {}: {error}", path.display()), hint);
                }
            }
        }
        texts
    }

    fn documents(&mut self, pipeline: &Pipeline) -> BTreeMap<String, String> {
        let mut documents = BTreeMap::new();
        let apis = pipeline.portal.iter().flat_map(|portal| &portal.apis);
        for Located { value: path, line } in apis.filter_map(|api| api.value.openapi.as_ref()) {
            let read = std::fs::read_to_string(self.folder.join(path)).map_err(|error| error.to_string());
            let checked = read.and_then(|text| {
                let document = openapi::parse(&text).and_then(|value| openapi::read(&value));
                document.map(|_| text).map_err(|error| error.to_string())
            });
            match checked {
                Ok(text) => {
                    documents.insert(path.display().to_string(), text);
                }
                Err(error) => {
                    let hint = "name a file with an OpenAPI document, relative to the pipeline file";
                    self.wrong(*line, format!("{}: {error}", path.display()), hint);
                }
            }
        }
        documents
    }

    /// Runtimes that no node has. Whether a machine has a runtime's interpreter is known where it runs.
    fn runtimes(&mut self, pipeline: &Pipeline) {
        for Located { value: runtime, line } in pipeline.functions.iter().map(|function| &function.value.runtime) {
            if let Err(error) = check_runtime(runtime) {
                self.wrong(*line, error.to_string(), "name one of them: runtime = \"python3.12\"");
            }
        }
    }

    fn query(&mut self, pipeline: &Pipeline, query: &Located<QuerySpec>, sql_files: &BTreeMap<String, String>) {
        let spec = &query.value;
        // Where the SQL stands decides which file and line its errors name.
        let (file, first_line, text) = match &spec.sql {
            SqlText::Inline { text, line } => (self.file.to_owned(), *line, text.as_str()),
            SqlText::File(path) => {
                let name = path.value.display().to_string();
                let Some(text) = sql_files.get(&name) else { return };
                (self.folder.join(&path.value).display().to_string(), 1, text.as_str())
            }
        };
        let streams = spec.inputs.iter().map(|input| (input.value.name.clone(), input.value.columns.clone()));
        let inputs = InputSchema::declared(spec.dialect, streams, &spec.references);
        spec.outputs.iter().for_each(|output| self.partition_key(pipeline, output));
        if spec.stopped && text.trim().is_empty() {
            return;
        }
        let functions: Vec<QueryFunction> = spec.functions.iter().map(|located| located.value.clone()).collect();
        if let Err(FunctionError { name, reason }) = check_functions(&functions) {
            let function = spec.functions.iter().find(|located| located.value.name == name);
            let line = function.map_or(query.line, |located| located.line);
            self.wrong(line, format!("function `{name}`: {reason}"), "script = \"function main(x) { return x; }\"");
            return;
        }
        match plan_with(spec.dialect, text, &inputs, &functions) {
            Ok(program) => {
                let program = program.with_error_output(spec.outputs.iter().map(|output| output.value.name.as_str()));
                // One that does not run yet may have outputs that its text is still to write.
                let written = |output: &&Located<OutputSpec>| program.output_columns(&output.value.name).is_some();
                for output in spec.outputs.iter().filter(|output| !spec.stopped || written(output)) {
                    self.output(pipeline, spec, &program, output);
                }
            }
            Err(errors) => {
                // Columns that nobody declares are found out from records, which the node has and a file has not.
                let may_come = |code| match code {
                    PlanErrorCode::ColumnsUnknown => true,
                    PlanErrorCode::UnknownStream => spec.stopped,
                    _ => false,
                };
                let certain = errors.iter().filter(|error| !may_come(error.code));
                self.mistakes.extend(certain.map(|error| mistake(&file, first_line, error)));
            }
        }
    }

    /// Holds the partition key that an output names to the container's.
    fn partition_key(&mut self, pipeline: &Pipeline, output: &Located<OutputSpec>) {
        let OutputTarget::Documents(DocumentOutput { database, container, .. }) = &output.value.target else { return };
        let Some(key) = partition_key(&output.value.target) else { return };
        let databases = pipeline.databases.iter().filter(|found| found.value.name == *database);
        let mut containers = databases.flat_map(|found| &found.value.containers);
        let Some((_, path)) = containers.find(|(name, _)| name == container) else { return };
        let held = path.trim_start_matches('/');
        if held != key {
            self.wrong(
                output.line,
                format!("the partition key of container `{database}/{container}` is `{path}`, not `{key}`"),
                format!("partition_key = \"{held}\""),
            );
        }
    }

    fn output(&mut self, pipeline: &Pipeline, query: &QuerySpec, program: &Program, output: &Located<OutputSpec>) {
        let name = &output.value.name;
        let Some(columns) = program.output_columns(name) else {
            let known = program.output_names().collect::<Vec<_>>().join("`, `");
            self.wrong(
                output.line,
                format!("query `{}` writes no output `{name}`", query.name),
                format!("its outputs are `{known}`"),
            );
            return;
        };
        let handing = &output.value.handing;
        let of_record = Some(handing.partition_column.as_str()).filter(|column| !column.is_empty());
        let keys = partition_key(&output.value.target).map(|key| (key, "its container's partition key"));
        let named = keys.into_iter().chain(of_record.map(|column| (column, "the partition key of its records")));
        let properties = handing.property_columns.iter().map(|column| (column.as_str(), "a property of its records"));
        for (column, what) in named.chain(properties) {
            if !columns.iter().any(|(name, _)| name == column) {
                let known = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("`, `");
                let message = format!("output `{name}` has no column `{column}`, {what}");
                self.wrong(output.line, message, format!("its columns are `{known}`"));
            }
        }
        let Some(Located { value: (table, keys), line }) = &output.value.fills else { return };
        let Some(table) = pipeline.tables.iter().find(|spec| spec.value.name == *table) else { return };
        let attributes = std::iter::once(&table.value.hash_key).chain(&table.value.sort_key);
        for attribute in attributes {
            let Some(column) = keys.get(&attribute.name) else {
                self.wrong(
                    *line,
                    format!(
                        "`fills.keys` names no column for the key `{}` of table `{}`",
                        attribute.name, table.value.name
                    ),
                    format!("add it: keys = {{ {} = \"COLUMN\" }}", attribute.name),
                );
                continue;
            };
            match columns.iter().find(|(name, _)| name == column) {
                None => {
                    let known = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("`, `");
                    self.wrong(
                        *line,
                        format!("output `{name}` has no column `{column}`"),
                        format!("its columns are `{known}`"),
                    );
                }
                Some((_, column_type)) if !fits(*column_type, attribute.key_type) => self.wrong(
                    *line,
                    format!(
                        "the key `{}` of table `{}` is a {:?}, but column `{column}` is a {column_type:?}",
                        attribute.name, table.value.name, attribute.key_type,
                    ),
                    "change the key's type or CAST the column",
                ),
                Some(_) => {}
            }
        }
    }
}

/// The partition key that an output to documents names.
fn partition_key(target: &OutputTarget) -> Option<&str> {
    let OutputTarget::Documents(DocumentOutput { partition_key, .. }) = target else { return None };
    Some(partition_key.trim_start_matches('/')).filter(|key| !key.is_empty())
}

/// Whether a column's JSON value can be a key of that type: times are written as text, and of a value without a fixed type
/// only its row knows.
fn fits(column: ColumnType, key: KeyType) -> bool {
    match key {
        KeyType::String => matches!(column, ColumnType::Text | ColumnType::Timestamp | ColumnType::Value),
        KeyType::Number => matches!(column, ColumnType::BigInt | ColumnType::Double | ColumnType::Value),
        KeyType::Binary => matches!(column, ColumnType::Text | ColumnType::Value),
    }
}

fn mistake(file: &str, first_line: usize, error: &PlanError) -> Mistake {
    Mistake {
        file: file.to_owned(),
        line: first_line + usize::try_from(error.line.saturating_sub(1)).unwrap_or_default(),
        message: format!("error[{}]: {} (column {})", error.code, error.message, error.column),
        hint: error.hint.clone().unwrap_or_else(|| "write it as docs/sql/supported.md lists it".to_owned()),
    }
}
