//! What a page of a report holds, whatever its form: headings, texts, lists, tables, a check's hours. [`super::markdown()`] and [`super::html()`] write it; no
//! report writes a form of its own.

use super::stats::CheckStats;

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// What it says, from above.
    pub blocks: Vec<Block>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A heading: 2 is the highest below the title.
    Heading(u8, String),
    /// A paragraph.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Vec<Part>>),
    /// A table. A column whose head begins with `#` holds numbers.
    Table(Vec<&'static str>, Vec<Vec<Vec<Part>>>),
    /// A check's hours, its durations and its outages.
    Hours(CheckStats),
    /// What the colours of the hours mean, where they are colours.
    Legend,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Plain(String),
    /// Words that matter.
    Strong(String),
    /// A word of a closed set that says how it stands: it is shown as such, and never by colour alone.
    State(String),
    /// The answer of the page.
    Answer(String),
    /// What is typed, or read by machines.
    Code(String),
    /// An address of http or https.
    Link(String),
}

/// Words.
pub(super) fn plain(text: impl Into<String>) -> Vec<Part> {
    vec![Part::Plain(text.into())]
}

/// A word that says how it stands.
pub(super) fn state(text: impl Into<String>) -> Vec<Part> {
    vec![Part::State(text.into())]
}

impl Page {
    pub(super) fn new(title: String) -> Self {
        Self { title, blocks: Vec::new() }
    }

    pub(super) fn heading(&mut self, level: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading(level, text.into()));
    }

    pub(super) fn text(&mut self, parts: Vec<Part>) {
        self.blocks.push(Block::Text(parts));
    }

    /// A list of plain lines; without lines nothing.
    pub(super) fn list<T: Into<String>>(&mut self, lines: impl IntoIterator<Item = T>) {
        let lines: Vec<Vec<Part>> = lines.into_iter().map(plain).collect();
        if !lines.is_empty() {
            self.blocks.push(Block::List(lines));
        }
    }

    pub(super) fn table(&mut self, head: &[&'static str], rows: Vec<Vec<Vec<Part>>>) {
        self.blocks.push(Block::Table(head.to_vec(), rows));
    }
}
