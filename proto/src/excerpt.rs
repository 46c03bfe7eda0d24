//! What an error or a log names of that which a client sent: its beginning.

/// Most characters of what a client sent that an error names.
pub(crate) const NAMED_CHARS_MAX: usize = 100;

/// The first `most` characters of `text`.
pub fn excerpt(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
