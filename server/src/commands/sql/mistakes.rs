//! How the mistakes of a query's text are told: the file, the place, the line with a mark under it, and a way out.

use millstream_query::PlanError;

use super::written::Written;

/// Columns of a line that are shown in front of a mistake and behind it.
const AROUND: usize = 60;

/// The mistakes of a text, one after the other.
pub fn told(written: &Written, mistakes: &[PlanError]) -> String {
    let told: Vec<String> = mistakes.iter().map(|mistake| one(written, mistake)).collect();
    told.join("\n")
}

fn one(written: &Written, mistake: &PlanError) -> String {
    let index = usize::try_from(mistake.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let column = usize::try_from(mistake.column.saturating_sub(1)).unwrap_or_default();
    let (file, line) = (written.file.display(), written.first_line.saturating_add(index));
    let mut told = format!("{file}:{line}:{}: error[{}]: {}", mistake.column, mistake.code, mistake.message);
    if let Some(text) = written.sql.lines().nth(index) {
        let (shown, mark) = excerpt(text, column);
        told.push_str(&format!("\n    {shown}\n    {mark}^"));
    }
    if let Some(hint) = &mistake.hint {
        told.push_str(&format!("\n  try: {hint}"));
    }
    told
}

/// A part of a line around a column, and what stands in front of a mark under that column.
fn excerpt(line: &str, column: usize) -> (String, String) {
    let first = column.saturating_sub(AROUND);
    let shown: String = line.chars().skip(first).take(2 * AROUND).collect();
    // Tabs stay tabs, so that the mark stands under its column however wide they are.
    let before = line.chars().skip(first).take(column - first);
    (shown, before.map(|char| if char == '\t' { '\t' } else { ' ' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stands_under_its_column() {
        assert_eq!(excerpt("SELECT x", 7), ("SELECT x".to_owned(), " ".repeat(7)));
        assert_eq!(excerpt("\tx", 1), ("\tx".to_owned(), "\t".to_owned()));
        let long = format!("{}x", "a".repeat(500));
        let (shown, mark) = excerpt(&long, 500);
        assert_eq!((shown.len(), mark.len()), (AROUND + 1, AROUND));
        assert_eq!(excerpt("", 3).0, "", "the end of a text lies behind its last line");
    }
}
