//! What a pipeline file says of a query's functions: `[[query.function]]`.

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{QueryFunction, QueryFunctionKind, ValueType};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryFunctionTable {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    kind: QueryFunctionKind,
    script: String,
    /// The types of its arguments; empty: any number of any type.
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
    /// The type of its results; without it each has its own.
    result: Option<Spanned<String>>,
}

impl Resolver<'_> {
    /// A function of a query; `None` when one of its types is unknown.
    pub(super) fn query_function(&mut self, table: QueryFunctionTable) -> Option<Located<QueryFunction>> {
        let line = self.line(&table.name);
        let given = table.arguments.len();
        let arguments: Vec<ValueType> = table.arguments.iter().filter_map(|name| self.value_type(name)).collect();
        let result = match &table.result {
            None => Some(ValueType::Any),
            Some(name) => self.value_type(name),
        }?;
        // Lines around it say nothing, and forms add some.
        let script = table.script.trim().to_owned();
        let value = QueryFunction { name: table.name.into_inner(), kind: table.kind, script, arguments, result };
        (value.arguments.len() == given).then_some(Located { value, line })
    }

    fn value_type(&mut self, name: &Spanned<String>) -> Option<ValueType> {
        let found = ValueType::of(name.get_ref());
        if found.is_none() {
            let line = self.line(name);
            let message = format!("expected a type of Stream Analytics, found `{}`", name.get_ref());
            self.wrong(line, message, format!("use one of {}", ValueType::names()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::definition::{QueryFunctionKind, ValueType};
    use crate::pipeline::Pipeline;

    fn parsed(function: &str) -> Result<Pipeline, String> {
        let text = format!(
            "name = \"p\"\n[[stream]]\nname = \"s\"\n[[query]]\nname = \"q\"\ndialect = \"stream-analytics\"\nsql = \"SELECT 1\"\n\
             [[query.input]]\nname = \"i\"\nstream = \"s\"\n[[query.function]]\nname = \"f\"\n{function}\n"
        );
        Pipeline::parse("p.toml", &text).map_err(|mistakes| mistakes[0].message.clone())
    }

    #[test]
    fn functions_have_types_in_the_languages_words() {
        let script = "kind = \"aggregate\"\nscript = \"function main() {}\"";
        let pipeline = parsed(&format!("{script}\narguments = [\"BIGINT\"]\nresult = \"nvarchar(max)\"")).unwrap();
        let function = &pipeline.queries[0].value.functions[0].value;
        assert_eq!((function.kind, function.result), (QueryFunctionKind::Aggregate, ValueType::Text));
        assert_eq!(
            (function.arguments.as_slice(), function.script.as_str()),
            (&[ValueType::BigInt][..], "function main() {}")
        );
        let usual = parsed("script = \"x => x\"").unwrap();
        let usual = &usual.queries[0].value.functions[0].value;
        assert_eq!((usual.kind, usual.result, usual.arguments.len()), (QueryFunctionKind::Scalar, ValueType::Any, 0));
        assert_eq!(
            parsed("script = \"x => x\"\nresult = \"decimal\"").unwrap_err(),
            "expected a type of Stream Analytics, found `decimal`"
        );
        assert!(parsed("arguments = [\"any\"]").is_err());
    }
}
