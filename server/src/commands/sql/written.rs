//! A query's text as it stands in a file, with what is known of its inputs: from files of events, or from the pipeline file that
//! holds the query.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use millstream_catalog::pipeline::{Known, QuerySpec, SqlText, Survey};
use millstream_catalog::{EventOrder, QueryDialect, QueryFunction, RecordFormat};
use millstream_query::{
    Goal, InputSchema, PlanError, PlanErrorCode, Program, Translation, TranslationAsk, TrialInput, check_functions,
    check_with, inputs_declared, inputs_missing, language_of, plan_with, sample_schemas, translate,
};

use super::mistakes;
use crate::apply::check::told;
use crate::cli::{DialectName, SqlArgs};

/// A query's text and what is known of its inputs.
#[derive(Debug)]
pub struct Written {
    /// The file that holds the text.
    pub file: PathBuf,
    /// The file's line on which the text begins.
    pub first_line: usize,
    /// The text.
    pub sql: String,
    /// Its language.
    pub dialect: QueryDialect,
    /// Functions of its own: those that a pipeline file gives it.
    pub functions: Vec<QueryFunction>,
    /// Its inputs and reference data, so far as they are known.
    pub inputs: Vec<TrialInput>,
    /// Those of them that have a sample, which may be empty.
    pub sampled: Vec<String>,
    /// How event time is treated.
    pub order: EventOrder,
}

/// A query that may be planned.
pub struct Planned {
    /// The plan; `None` while the columns of an input are not known: the rest is right.
    pub program: Option<Program>,
    /// Inputs whose columns are not known.
    pub unknown: Vec<String>,
}

impl From<DialectName> for QueryDialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::Kinesis => Self::Kinesis,
            DialectName::StreamAnalytics => Self::StreamAnalytics,
            DialectName::Standard => Self::Standard,
        }
    }
}

impl Written {
    /// What the arguments of a command name.
    ///
    /// # Errors
    /// Files that cannot be read, a pipeline file that holds no such query.
    pub fn of(args: &SqlArgs) -> anyhow::Result<Self> {
        let is_pipeline = args.file.extension().is_some_and(|extension| extension == "toml");
        let mut written = match (&args.pipeline, is_pipeline) {
            (None, true) => Self::in_pipeline(&args.file, |spec| named(spec, args.query.as_deref()))?,
            (Some(pipeline), false) => {
                let whole = |path: &Path| std::fs::canonicalize(path).ok();
                let text = whole(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
                let folder = pipeline.parent().unwrap_or(Path::new(".")).to_owned();
                let holds = |spec: &QuerySpec| match &spec.sql {
                    SqlText::File(path) => whole(&folder.join(&path.value)).is_some_and(|path| path == text),
                    SqlText::Inline { .. } => false,
                };
                Self::in_pipeline(pipeline, |spec| holds(spec) && named(spec, args.query.as_deref()))?
            }
            (Some(_), true) => bail!("expected either a pipeline file or a text with --pipeline, found both"),
            (None, false) if args.query.is_some() => bail!("--query names a query of a pipeline file: --pipeline FILE"),
            (None, false) => Self::alone(args.file.clone(), read(&args.file)?),
        };
        if let Some(dialect) = args.dialect {
            written.dialect = dialect.into();
        }
        for (files, reference) in [(&args.input, false), (&args.reference, true)] {
            for file in files {
                let (name, path) = pair(file)?;
                written.sample(name, Path::new(path), reference)?;
            }
        }
        Ok(written)
    }

    /// A text of which nothing else is known.
    pub fn alone(file: PathBuf, sql: String) -> Self {
        let dialect = language_of(&sql);
        Self {
            file,
            first_line: 1,
            sql,
            dialect,
            functions: Vec::new(),
            inputs: Vec::new(),
            sampled: Vec::new(),
            order: EventOrder::default(),
        }
    }

    /// The one query of a pipeline file for which `is` holds.
    ///
    /// # Errors
    /// A file that cannot be read, none or several such queries, inputs of it that have mistakes.
    pub fn in_pipeline(file: &Path, is: impl Fn(&QuerySpec) -> bool) -> anyhow::Result<Self> {
        let text = read(file)?;
        let Survey { pipeline, mistakes, unsure } = Survey::of(&file.display().to_string(), &text, &Known::default());
        let pipeline = pipeline.with_context(|| told(&mistakes))?;
        let found: Vec<&QuerySpec> =
            pipeline.queries.iter().map(|query| &query.value).filter(|spec| is(spec)).collect();
        let [spec] = found.as_slice() else {
            let all: Vec<&str> = pipeline.queries.iter().map(|query| query.value.name.as_str()).collect();
            let found = if found.is_empty() { "no such query" } else { "several queries" };
            bail!("{}: {found}; its queries are `{}`\n  try: --query NAME", file.display(), all.join("`, `"));
        };
        if unsure.contains(&spec.name) {
            bail!(told(&mistakes));
        }
        let (file, first_line, sql) = match &spec.sql {
            SqlText::Inline { text, line } => (file.to_owned(), *line, text.clone()),
            SqlText::File(path) => {
                let path = file.parent().unwrap_or(Path::new(".")).join(&path.value);
                let text = read(&path)?;
                (path, 1, text)
            }
        };
        let inputs = spec.inputs.iter().map(|input| TrialInput {
            name: input.value.name.clone(),
            columns: input.value.columns.clone(),
            format: input.value.format.clone(),
            ..TrialInput::default()
        });
        let references = spec.references.iter().map(|table| TrialInput {
            name: table.name.clone(),
            columns: table.columns.clone(),
            format: table.format.clone(),
            reference: true,
            ..TrialInput::default()
        });
        let inputs = inputs.chain(references).collect();
        let (dialect, order) = (spec.dialect, spec.event_order);
        let functions: Vec<QueryFunction> = spec.functions.iter().map(|function| function.value.clone()).collect();
        check_functions(&functions)?;
        Ok(Self { file, first_line, sql, dialect, functions, inputs, sampled: Vec::new(), order })
    }

    /// Takes a file as the sample of an input.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sample(&mut self, name: &str, file: &Path, reference: bool) -> anyhow::Result<()> {
        let format = match file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Some(RecordFormat::Csv { delimiter: ",".to_owned() }),
            Some("tsv") => Some(RecordFormat::Csv { delimiter: "\t".to_owned() }),
            _ => None,
        };
        self.sample_text(name, read(file)?, format, reference);
        Ok(())
    }

    /// Takes a text as the sample of an input; without a format it is in the one that the input is known to have.
    pub fn sample_text(&mut self, name: &str, sample: String, format: Option<RecordFormat>, reference: bool) {
        let known = self.inputs.iter().position(|input| input.name.eq_ignore_ascii_case(name));
        let index = known.unwrap_or_else(|| {
            self.inputs.push(TrialInput { name: name.to_owned(), reference, ..TrialInput::default() });
            self.inputs.len() - 1
        });
        let input = &mut self.inputs[index];
        input.sample = sample;
        if let Some(format) = format {
            input.format = format;
        }
        self.sampled.push(name.to_owned());
    }

    /// Says how an input's records become rows.
    pub fn format(&mut self, name: &str, format: RecordFormat) {
        let input = self.inputs.iter_mut().find(|input| input.name.eq_ignore_ascii_case(name));
        if let Some(input) = input {
            input.format = format;
        }
    }

    /// Whether an input has a sample.
    pub fn has_sample(&self, name: &str) -> bool {
        self.sampled.iter().any(|sampled| sampled.eq_ignore_ascii_case(name))
    }

    /// The mistakes of the text, a line each; `None` when it has none.
    ///
    /// # Errors
    /// Samples that are none.
    pub fn mistakes(&self) -> anyhow::Result<Option<Vec<String>>> {
        let schemas = self.schemas()?;
        let mistakes = match plan_with(self.dialect, &self.sql, &schemas, &self.functions) {
            Ok(_) => return Ok(None),
            Err(mistakes) => mistakes,
        };
        let told = |mistake: &PlanError| {
            format!("error[{}]: {} ({}:{})", mistake.code, mistake.message, mistake.line, mistake.column)
        };
        Ok(Some(mistakes.iter().map(told).collect()))
    }

    /// The query in other words.
    ///
    /// # Errors
    /// All mistakes of the text, as they are told; samples that are none.
    pub fn translated(&self, goal: Goal, within_tolerance: bool, bootstrap: &str) -> anyhow::Result<Translation> {
        let inputs = self.schemas()?;
        let ask = TranslationAsk {
            dialect: self.dialect,
            sql: &self.sql,
            inputs: &inputs,
            functions: &self.functions,
            order: self.order,
            within_tolerance,
            bootstrap,
        };
        translate(&ask, goal).map_err(|mistakes| anyhow::anyhow!(mistakes::told(self, &mistakes)))
    }

    /// The inputs as a plan needs them. Where nothing is known of any input, each name that the text reads is taken for one.
    fn schemas(&self) -> anyhow::Result<Vec<InputSchema>> {
        let mut schemas = sample_schemas(self.dialect, &self.inputs)?;
        let mut add = |name: String| {
            if !schemas.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
                schemas.push(InputSchema::new(name, None));
            }
        };
        inputs_declared(self.dialect, &self.sql).into_iter().for_each(&mut add);
        if self.inputs.is_empty() {
            inputs_missing(self.dialect, &self.sql, &[]).into_iter().for_each(&mut add);
        }
        Ok(schemas)
    }

    /// Plans the text.
    ///
    /// # Errors
    /// All mistakes of the text, as they are told; samples that are none.
    pub fn planned(&self) -> anyhow::Result<Planned> {
        let schemas = self.schemas()?;
        let mistakes = match plan_with(self.dialect, &self.sql, &schemas, &self.functions) {
            Ok(program) => return Ok(Planned { program: Some(program), unknown: Vec::new() }),
            Err(mistakes) => mistakes,
        };
        let columns_only = |mistake: &PlanError| mistake.code == PlanErrorCode::ColumnsUnknown;
        if !mistakes.iter().all(columns_only) {
            bail!(mistakes::told(self, &mistakes));
        }
        let mistakes = check_with(self.dialect, &self.sql, &schemas, &self.functions);
        if !mistakes.is_empty() {
            bail!(mistakes::told(self, &mistakes));
        }
        let unknown = schemas.into_iter().filter(|schema| schema.columns.is_none()).map(|schema| schema.name);
        let declared = inputs_declared(self.dialect, &self.sql);
        let unknown = unknown.filter(|name| !declared.iter().any(|declared| declared.eq_ignore_ascii_case(name)));
        Ok(Planned { program: None, unknown: unknown.collect() })
    }
}

fn named(spec: &QuerySpec, name: Option<&str>) -> bool {
    name.is_none_or(|name| spec.name == name)
}

/// `NAME=FILE`.
///
/// # Errors
/// A text without `=`.
pub fn pair(text: &str) -> anyhow::Result<(&str, &str)> {
    text.split_once('=').with_context(|| format!("expected NAME=FILE, found {text}"))
}

/// A file's text.
///
/// # Errors
/// Its name and why it cannot be read.
pub fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
