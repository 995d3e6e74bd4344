//! Markdown tables.

/// Row by row; a row whose cells are all unknown is left out.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Table {
            header: header.iter().map(|head| String::from(*head)).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, label: &str, cells: impl IntoIterator<Item = Option<String>>) {
        let cells: Vec<_> = cells.into_iter().collect();
        if cells.iter().all(Option::is_none) {
            return;
        }
        let mut row = vec![String::from(label)];
        row.extend(cells.into_iter().map(|cell| cell.unwrap_or("–".into())));
        self.rows.push(row);
    }

    /// The table, or `None` when no row is left.
    pub(crate) fn render(&self) -> Option<String> {
        if self.rows.is_empty() {
            return None;
        }
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(&self.header);
        text.push_str("|---|");
        text.push_str(&"--:|".repeat(self.header.len() - 1));
        text.push('\n');
        text.extend(self.rows.iter().map(|row| line(row)));
        Some(text)
    }
}

/// A multiple, such as `2.31×` or `231×`.
pub(crate) fn multiple(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2}×"),
        ..100.0 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.0}×"),
    }
}
