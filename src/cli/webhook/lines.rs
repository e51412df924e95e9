//! Lines of bounded length. One that is too long is passed over, and said to be.

use std::io::{self, BufRead, Read as _};

/// A line may have this many bytes: the largest body, escaped, and room for the rest.
const MAX_LINE: usize = 4 << 20;

/// Reads line by line.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new() }
    }

    /// The next line with its end; `None` at the end of the input.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<&[u8], &'static str>>> {
        self.line.clear();
        self.input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
        if self.line.len() == MAX_LINE && self.line.last() != Some(&b'\n') {
            self.pass_over()?;
            return Ok(Some(Err("expected a line of at most 4 MiB")));
        }
        Ok((!self.line.is_empty()).then_some(Ok(self.line.as_slice())))
    }

    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let (used, ended) = match self.input.fill_buf()? {
                [] => (0, true),
                some => some.iter().position(|b| *b == b'\n').map_or((some.len(), false), |n| (n + 1, true)),
            };
            self.input.consume(used);
            if ended {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        for end in ["\n", "\nc"] {
            let input = [b"a\n".to_vec(), vec![b'x'; MAX_LINE * 2 + 5], end.as_bytes().to_vec()].concat();
            let mut lines = Lines::new(io::Cursor::new(input));
            assert_eq!(lines.next().unwrap(), Some(Ok(&b"a\n"[..])));
            assert!(lines.next().unwrap().unwrap().is_err());
            assert_eq!(lines.next().unwrap(), end.strip_prefix("\n").filter(|e| !e.is_empty()).map(|e| Ok(e.as_bytes())));
            assert!(lines.next().unwrap().is_none());
        }
    }
}
