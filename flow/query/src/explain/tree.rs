//! The steps as a tree: below each output what it is made of, down to the sources.

use std::collections::BTreeSet;

use super::{columns_with_types, line, step_lines};
use crate::expression::types;
use crate::plan::{ColumnOrigin, Operator, Program, SourceColumn, StepInput};

/// What stands in a place of the tree.
#[derive(Clone, Copy)]
enum Node {
    Input(StepInput),
    Reference(usize),
}

/// Draws each output with its steps.
pub(super) fn draw(text: &mut String, program: &Program) {
    let mut tree = Tree { program, drawn: BTreeSet::new() };
    for output in &program.outputs {
        let fields = output.schema.fields().iter();
        let columns: Vec<String> = fields
            .map(|field| format!("{} {}", field.name(), types::name(program.dialect, field.data_type())))
            .collect();
        line(text, &format!("output {}: {}", output.name, columns.join(", ")));
        match output.step {
            Some(step) => tree.node(text, "", true, Node::Input(StepInput::Step(step))),
            None => line(text, "└─ nothing: no pump writes it"),
        }
    }
}

struct Tree<'p> {
    program: &'p Program,
    /// Steps that stand somewhere above, with what is below them.
    drawn: BTreeSet<usize>,
}

impl Tree<'_> {
    fn node(&mut self, text: &mut String, indent: &str, last: bool, node: Node) {
        let (said, below) = self.said(node);
        let mut lines = said.lines();
        let branch = if last { "└─ " } else { "├─ " };
        line(text, &format!("{indent}{branch}{}", lines.next().unwrap_or_default()));
        let indent = format!("{indent}{}", if last { "   " } else { "│  " });
        let stem = if below.is_empty() { " " } else { "│" };
        lines.for_each(|said| line(text, &format!("{indent}{stem}{said}")));
        let count = below.len();
        for (place, node) in below.into_iter().enumerate() {
            self.node(text, &indent, place + 1 == count, node);
        }
    }

    /// What is said of a node, and what stands below it.
    fn said(&mut self, node: Node) -> (String, Vec<Node>) {
        let program = self.program;
        match node {
            Node::Input(StepInput::Source(index)) => {
                let source = &program.sources[index];
                let columns = columns_with_types(program.dialect, source.columns.iter());
                (format!("source {}: {columns}", source.name), Vec::new())
            }
            Node::Reference(index) => {
                let table = &program.references[index];
                // What is known of events is not known of a table's rows.
                let own = |column: &&SourceColumn| matches!(column.origin, ColumnOrigin::Field { .. });
                let columns = columns_with_types(program.dialect, table.columns.iter().filter(own));
                (format!("reference data {}: {columns}", table.name), Vec::new())
            }
            Node::Input(StepInput::Step(index)) if !self.drawn.insert(index) => {
                (format!("step {index}, as above"), Vec::new())
            }
            Node::Input(StepInput::Step(index)) => {
                let step = &program.steps[index];
                let mut said = String::new();
                step_lines(&mut said, program, step);
                let mut below: Vec<Node> = step.inputs.iter().copied().map(Node::Input).collect();
                if let Operator::Lookup(lookup) = &step.operator {
                    below.push(Node::Reference(lookup.reference));
                }
                (said, below)
            }
        }
    }
}
