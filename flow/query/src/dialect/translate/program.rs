//! Statements: steps and views, and what is written to outputs.

use arrow::datatypes::DataType;
use millstream_catalog::QueryDialect;

use super::super::plan_program::into;
use super::super::plan_stream::declared;
use super::super::standard;
use super::super::syntax::{Ident, Query, Statement, TypeName};
use super::Writer;
use super::spelling::Spelling;
use crate::expression::types;

/// What the column of a step is called that its rows go by.
pub(super) const ROW_TIME: &str = "row_time";

/// The column of an output that a value goes into: its name, and its type where the text declares it.
#[derive(Clone)]
pub(super) struct Column {
    pub name: String,
    pub declared: Option<(DataType, Option<usize>)>,
}

/// Where the rows of a `SELECT` go.
#[derive(Clone, Copy)]
pub(super) enum Destination<'c> {
    /// A step that others read: with the column that its rows go by.
    Step,
    /// An output; its columns, where they are declared, in the order of the values.
    Output { name: &'c str, columns: Option<&'c [Column]> },
    /// The same, of a `SELECT` behind the first one, which names it.
    Same { columns: Option<&'c [Column]> },
}

impl<'c> Destination<'c> {
    /// The columns of an output, where they are declared.
    pub(super) fn columns(self) -> Option<&'c [Column]> {
        match self {
            Self::Step => None,
            Self::Output { columns, .. } | Self::Same { columns } => columns,
        }
    }
}

impl Writer<'_> {
    /// All statements in the language.
    pub(super) fn told(&mut self) -> String {
        let mut steps: Vec<(String, String)> = Vec::new();
        let mut inserts: Vec<(String, Option<Vec<Column>>, String)> = Vec::new();
        let statements = self.statements;
        for statement in statements {
            match statement {
                Statement::With { name, query } => {
                    let told = self.query(query, Destination::Step);
                    steps.push((name.text.clone(), told));
                }
                Statement::Select(query) => {
                    let name = into(query).text;
                    let told = self.query(query, Destination::Output { name: &name, columns: None });
                    inserts.push((name, None, told));
                }
                Statement::CreatePump { target, columns, query, .. } | Statement::Insert { target, columns, query } => {
                    if self.is_read(&target.text) {
                        self.refuse(
                            target.at,
                            format!("`{}` is written and read: a stream between pumps", target.text),
                        );
                        continue;
                    }
                    let columns = self.columns(target, columns.as_deref());
                    let into = Destination::Output { name: &target.text, columns: columns.as_deref() };
                    let told = self.query(query, into);
                    inserts.push((target.text.clone(), columns, told));
                }
                Statement::CreateStream { .. } | Statement::CreateTable { .. } | Statement::DeclareTable(_) => {}
            }
        }
        // What is refused as a whole was noted.
        steps.retain(|(_, told)| !told.is_empty());
        inserts.retain(|(.., told)| !told.is_empty());
        match self.spelling {
            Spelling::Flink => self.flink(&steps, &inserts),
            Spelling::StreamAnalytics => self.stream_analytics(&steps, &inserts),
        }
    }

    /// Whether some `FROM` reads what is written.
    fn is_read(&self, name: &str) -> bool {
        let reads = |query: &Query| {
            let sources = query.selects.iter().map(|select| &select.from);
            let mut all =
                sources.flat_map(|from| std::iter::once(from).chain(from.joins.iter().map(|join| &join.right)));
            all.any(|from| from.inner.is_none() && from.name.text == name)
        };
        self.statements.iter().any(|statement| match statement {
            Statement::CreatePump { query, .. } | Statement::Insert { query, .. } | Statement::With { query, .. } => {
                reads(query)
            }
            _ => false,
        })
    }

    /// The columns that values go into, one after the other.
    fn columns(&self, target: &Ident, list: Option<&[Ident]>) -> Option<Vec<Column>> {
        let all: &[(Ident, TypeName)] = match self.ask.dialect {
            QueryDialect::Kinesis => declared(self.statements, &target.text).flatten()?,
            _ => &standard::declared(self.statements, &target.text)?.columns,
        };
        let column = |(name, column_type): &(Ident, TypeName)| {
            let data_type = types::of_name(self.ask.dialect, column_type).ok();
            Column { name: name.text.clone(), declared: data_type.map(|data_type| (data_type, column_type.length)) }
        };
        Some(match list {
            None => all.iter().map(column).collect(),
            Some(list) => {
                let named = |name: &Ident| all.iter().find(|(known, _)| known.text == name.text).map(column);
                list.iter().filter_map(named).collect()
            }
        })
    }

    fn flink(&self, steps: &[(String, String)], inserts: &[(String, Option<Vec<Column>>, String)]) -> String {
        let name = |name: &str| self.spelling.name(name);
        let mut text = String::from("SET 'table.local-time-zone' = 'UTC';\n\n");
        for (step, told) in steps {
            text.push_str(&format!("CREATE TEMPORARY VIEW {} AS\n{told};\n\n", name(step)));
        }
        let insert = |(output, columns, told): &(String, Option<Vec<Column>>, String)| {
            let list = columns.iter().flatten().map(|column| name(&column.name)).collect::<Vec<_>>().join(", ");
            let list = if list.is_empty() { list } else { format!(" ({list})") };
            format!("INSERT INTO {}{list}\n{told};\n", name(output))
        };
        match inserts {
            [only] => text.push_str(&insert(only)),
            several => {
                text.push_str("EXECUTE STATEMENT SET BEGIN\n");
                several.iter().for_each(|one| text.push_str(&insert(one)));
                text.push_str("END;\n");
            }
        }
        text
    }

    fn stream_analytics(
        &self,
        steps: &[(String, String)],
        inserts: &[(String, Option<Vec<Column>>, String)],
    ) -> String {
        let name = |name: &str| self.spelling.name(name);
        let told: Vec<String> = steps.iter().map(|(step, told)| format!("{} AS (\n{told}\n)", name(step))).collect();
        let mut text = if told.is_empty() { String::new() } else { format!("WITH {}\n", told.join(",\n")) };
        for (.., told) in inserts {
            text.push_str(&format!("{told}\n\n"));
        }
        format!("{}\n", text.trim_end())
    }

    /// The `SELECT`s of a query.
    pub(super) fn query(&mut self, query: &Query, into: Destination<'_>) -> String {
        if let Some((key, _)) = query.order_by.first() {
            self.refuse(key.at, "ORDER BY: the order in which rows come is no part of a table");
        }
        let (mut into, mut selects) = (into, Vec::with_capacity(query.selects.len()));
        for select in &query.selects {
            let Some(told) = self.select(select, into) else { continue };
            selects.push(told);
            if let Destination::Output { columns, .. } = into {
                into = Destination::Same { columns };
            }
        }
        selects.join(match self.spelling {
            Spelling::Flink => "\nUNION ALL\n",
            // It keeps what is there twice, and has no other.
            Spelling::StreamAnalytics => "\nUNION\n",
        })
    }
}
