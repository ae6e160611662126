//! Tables: columns of text, aligned, without frames, so that they read well and cut well.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers and sizes.
    Right,
}

/// Writes rows below headings; `width` is that of the terminal, none for a pipe, where nothing is wrapped.
pub fn table(headings: &[(&str, Align)], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    let cell = |text: &str, align| {
        Cell::new(text).set_alignment(match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        })
    };
    table.set_header(headings.iter().map(|(text, align)| cell(&text.to_uppercase(), *align)));
    for row in rows {
        table.add_row(row.iter().zip(headings).map(|(text, (_, align))| cell(&printable(text), *align)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Returns how many columns the terminal has; 100 where it does not say.
pub fn terminal_width() -> u16 {
    Table::new().width().filter(|columns| *columns > 0).unwrap_or(100)
}

/// Makes text safe for a terminal: control characters, as hostile metadata may hold, are shown as escapes.
pub fn printable(text: &str) -> String {
    let bidirectional = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || bidirectional(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_is_lost_in_a_pipe() {
        let headings = [("name", Align::Left), ("size", Align::Right)];
        let long = "x".repeat(300);
        let rows = vec![vec!["a".into(), "1 B".into()], vec![long.clone(), "46.1 MB".into()]];
        let text = table(&headings, &rows, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("NAME") && lines[0].ends_with("SIZE"));
        assert!(lines[2].starts_with(&long) && lines[2].ends_with("46.1 MB"));
        assert_eq!(lines[1].len(), lines[2].len());
    }

    #[test]
    fn hostile_text_moves_no_cursor() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
    }
}
