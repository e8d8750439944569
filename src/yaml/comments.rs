//! The comments of a text and where they stand; the tree has none.

use granit_parser::{Event, Parser};

use super::{DEPTH_MAX, Position, position};

/// Comments kept: more than any file has that people write.
const COMMENTS_MAX: usize = 100_000;

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Where its `#` stands.
    pub at: Position,
    /// What stands behind that, to the end of the line.
    pub text: Box<str>,
}

/// Returns the comments of a text in their order; up to the first error of syntax.
pub fn comments(text: &str) -> Vec<Comment> {
    let options = granit_parser::options! {
        emit_comments: true,
        max_buffered_comment_events: COMMENTS_MAX,
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut comments = Vec::new();
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((Event::Comment(text, _), span)) if comments.len() < COMMENTS_MAX => {
                comments.push(Comment {
                    at: position(&span.start),
                    text: text.into(),
                });
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    comments.sort_by_key(|comment| comment.at);
    comments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(u32, u32, &str)]) {
        let found = comments(text);
        let found: Vec<(u32, u32, &str)> = found
            .iter()
            .map(|comment| (comment.at.line, comment.at.column, &*comment.text))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn comments_have_their_places() {
        check("# a\n\nb: 1 # c\n", &[(1, 1, " a"), (3, 6, " c")]);
        check("a:\n  # b\n  - c\n", &[(2, 3, " b")]);
    }

    #[test]
    fn a_hash_in_a_text_is_none() {
        check("a: |\n  # b\nc: 'd # e'\nf: g#h\n", &[]);
    }
}
