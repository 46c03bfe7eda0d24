//! Tables for people.

use super::output::plain;

/// `rows` below `head`, in columns.
pub(super) fn table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows.into_iter().map(|row| row.map(|cell| plain(&cell))));
    let mut widths = [0; COLUMNS];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = all.iter().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "bcd".to_owned()], ["efg".to_owned(), String::new()]];
        assert_eq!(table(["X", "Y"], rows), "X    Y\na    bcd\nefg");
    }

    #[test]
    fn a_cell_is_shown_and_not_obeyed() {
        let rows = [["ci\nroot".to_owned(), "\u{1b}[2K\u{9b}1Aé".to_owned()]];
        assert_eq!(table(["X", "Y"], rows), "X         Y\nci\\nroot  \\u{1b}[2K\\u{9b}1Aé");
    }
}
