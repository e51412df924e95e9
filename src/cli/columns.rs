//! Tables of plain text for people.

/// Lines of cells, each column as wide as its widest cell; every line begins with `indent` and ends without blanks.
pub(super) fn aligned<const N: usize>(lines: &[[String; N]], indent: &str) -> String {
    let mut widths = [0; N];
    for cells in lines {
        widths.iter_mut().zip(cells).for_each(|(w, cell)| *w = (*w).max(cell.chars().count()));
    }
    let mut out = String::new();
    for cells in lines {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(indent);
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let lines = [["a", "bb", ""], ["aaa", "×", "c"]].map(|l| l.map(str::to_owned));
        assert_eq!(aligned(&lines, " "), " a    bb\n aaa  ×   c\n");
    }
}
