//! What a row tells without the rows around it: whether running a plan over it alone shows what becomes of it among others.

use arrow::datatypes::DataType;
use datafusion_physical_expr::utils::collect_columns;

use super::{AppliedColumn, Operator, Program, ScalarExpr, Step, StepInput, VALUE, WindowKind};

/// By column of a step's schema: whether its value hangs on rows before it.
type LookingBack = Vec<bool>;

impl Program {
    /// Whether a row alone tells which windows and rows it becomes part of, and the texts by which results are told apart: no
    /// windows that begin or end with their rows, and no choice, group, time or text that hangs on what is before the row.
    #[must_use]
    pub(crate) fn a_row_alone_tells(&self) -> bool {
        let mut steps: Vec<LookingBack> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut input =
                vec![false; step.inputs.first().map_or(0, |input| self.input_schema(*input).fields().len())];
            for read in &step.inputs {
                if let StepInput::Step(read) = read {
                    input.iter_mut().zip(&steps[*read]).for_each(|(own, read)| *own |= read);
                }
            }
            let Some(columns) = step.looking_back(input) else { return false };
            steps.push(columns);
        }
        let tells_apart = |step: usize, column: usize| {
            let data_type = self.steps[step].schema.field(column).data_type();
            *data_type == DataType::Utf8 || *data_type == VALUE
        };
        let held = self.outputs.iter().filter_map(|output| output.step);
        held.into_iter().all(|step| {
            let looking_back = steps[step].iter().enumerate().filter(|(_, looks_back)| **looks_back);
            !looking_back.into_iter().any(|(column, _)| tells_apart(step, column))
        })
    }
}

impl Step {
    /// Which columns of its result hang on rows before, by those of its input; `None`: which rows there are does.
    fn looking_back(&self, input: LookingBack) -> Option<LookingBack> {
        let looks_back = |expr: &ScalarExpr| reads(expr, &input);
        let of =
            |columns: &[(String, ScalarExpr)]| columns.iter().map(|(_, expr)| looks_back(expr)).collect::<Vec<_>>();
        let (chooses, mut columns) = match &self.operator {
            Operator::Union => (false, input),
            Operator::Project { predicate, columns, rowtime } => {
                (predicate.iter().chain(rowtime).any(looks_back), of(columns))
            }
            Operator::Apply(apply) => {
                let column = |column: &AppliedColumn| match column {
                    AppliedColumn::Carried(place) => input.get(*place) == Some(&true),
                    AppliedColumn::Part | AppliedColumn::Key | AppliedColumn::Value => false,
                };
                (looks_back(&apply.value), apply.columns.iter().map(column).collect())
            }
            Operator::Analytic(analytic) => {
                let columns = of(&analytic.columns).into_iter().chain(analytic.calls.iter().map(|_| true));
                (analytic.predicate.iter().any(looks_back), columns.collect())
            }
            Operator::WindowAggregate(aggregate) => {
                let of_rows = match aggregate.window.kind {
                    WindowKind::Tumbling { .. } | WindowKind::Hopping { .. } => false,
                    WindowKind::Sliding { .. } | WindowKind::Session { .. } | WindowKind::Stagger { .. } => true,
                };
                (of_rows || aggregate.predicate.iter().chain(&aggregate.keys).any(looks_back), Vec::new())
            }
            Operator::Lookup(lookup) => {
                let columns = of(&lookup.sides[0].columns);
                let chooses = lookup.predicate.as_ref().is_some_and(|predicate| reads(predicate, &columns));
                (chooses || lookup.sides[0].keys.iter().any(looks_back), columns)
            }
            // In which order rows go on hangs on the rows around them, and so do models and matches, and groups that fail.
            Operator::Sort(_)
            | Operator::Scored(_)
            | Operator::PatternMatch(_)
            | Operator::Join(_)
            | Operator::Errors => (true, Vec::new()),
        };
        // What a table adds and the time of a row do not look back.
        columns.resize(self.schema.fields().len(), false);
        (!chooses).then_some(columns)
    }
}

/// Whether an expression reads one of the marked columns.
fn reads(expr: &ScalarExpr, marked: &[bool]) -> bool {
    collect_columns(&expr.physical).iter().any(|column| marked.get(column.index()) == Some(&true))
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{ColumnDefinition, ColumnType, QueryDialect};

    use crate::{InputSchema, plan};

    fn tells(sql: &str) -> bool {
        let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
        let columns =
            vec![column("k", ColumnType::Text), column("n", ColumnType::BigInt), column("a", ColumnType::Value)];
        let input = InputSchema::new("i", Some(columns));
        plan(QueryDialect::StreamAnalytics, sql, &[input]).unwrap().a_row_alone_tells()
    }

    #[test]
    fn a_row_alone_tells_what_does_not_look_back() {
        for sql in [
            "SELECT k, n INTO o FROM i WHERE n > 1",
            "SELECT k, COUNT(*) AS c INTO o FROM i GROUP BY k, TumblingWindow(minute, 1)",
            "SELECT k, LAG(n) OVER (LIMIT DURATION(minute, 1)) AS before INTO o FROM i WHERE k = 'a'",
            "WITH s AS (SELECT k, n, LAG(n) OVER (LIMIT DURATION(minute, 1)) AS before FROM i)
             SELECT k, MAX(before) AS m INTO o FROM s WHERE n > 1 GROUP BY k, TumblingWindow(minute, 1)",
        ] {
            assert!(tells(sql), "{sql}");
        }
    }

    /// The value of another row may stand steps before what hangs on it.
    #[test]
    fn a_row_alone_does_not_tell_what_looks_back() {
        let step = "WITH s AS (SELECT *, LAG(n) OVER (LIMIT DURATION(minute, 1)) AS before,
                    LAG(k) OVER (LIMIT DURATION(minute, 1)) AS last FROM i), p AS (SELECT n + before AS x, last, k, a FROM s)";
        for select in [
            "SELECT k INTO o FROM p WHERE x > 1",
            "SELECT k, x, last INTO o FROM p",
            "SELECT x, COUNT(*) AS c INTO o FROM p GROUP BY x, TumblingWindow(minute, 1)",
            "SELECT p.last, e.ArrayIndex AS at INTO o FROM p CROSS APPLY GetArrayElements(p.a) AS e",
            ", e AS (SELECT p.x, f.ArrayIndex AS at FROM p CROSS APPLY GetArrayElements(p.a) AS f) SELECT at INTO o FROM e WHERE x > 1",
            ", u AS (SELECT x FROM p UNION SELECT n AS x FROM i) SELECT x INTO o FROM u WHERE x > 1",
            "SELECT k, COUNT(*) AS c INTO o FROM p GROUP BY k, SessionWindow(minute, 1, 5)",
        ] {
            assert!(!tells(&format!("{step} {select}")), "{select}");
        }
    }
}
