//! A look at a template's tags before handlebars parses it: its parser and its renderer recurse, and a template nested
//! thousands of levels deep would end the process. The same look says where an unclosed block was opened.

/// A tag that opens, goes on or closes a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: TagKind,
    pub(super) name: String,
    pub(super) at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagKind {
    Open,
    Close,
}

/// How deep blocks and `else if` may nest, and brackets inside a tag.
const BLOCKS: usize = 32;
const BRACKETS: usize = 16;

/// The block tags of `text`; an error is a place and a message.
pub(super) fn scan(text: &str) -> Result<Vec<Tag>, (usize, String)> {
    let mut tags = Vec::new();
    // How deep each open block counts: one, and one more for each `else if`.
    let mut open: Vec<usize> = Vec::new();
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(found) = text[at..].find("{{") {
        let start = at + found;
        let slashes = text[at..start].bytes().rev().take_while(|b| *b == b'\\').count();
        if slashes == 1 {
            at = start + 2;
            continue;
        }
        let rest = &text[start..];
        if rest.starts_with("{{{{") {
            return Err((start, "raw blocks are not supported; write \\{{ for braces".to_owned()));
        }
        let closing = if rest.starts_with("{{!--") { "--}}" } else { "}}" };
        let Some(end) = rest.find(closing) else {
            return Err((start, "this tag is never closed with }}".to_owned()));
        };
        at = start + end + closing.len();
        if rest.starts_with("{{!") {
            continue;
        }
        if brackets(&rest[2..end]) > BRACKETS {
            return Err((start, format!("brackets are nested more than {BRACKETS} levels deep")));
        }
        let inner = rest[2..end].trim_matches(|c: char| c == '~' || c.is_whitespace());
        let word = |s: &str| {
            s.trim()
                .split(|c: char| c.is_whitespace() || c == '~')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        if let Some(name) = inner.strip_prefix('#') {
            tags.push(Tag { kind: TagKind::Open, name: word(name), at: start });
            open.push(1);
            depth += 1;
        } else if let Some(name) = inner.strip_prefix('/') {
            tags.push(Tag { kind: TagKind::Close, name: word(name), at: start });
            depth -= open.pop().unwrap_or_default();
        } else if let Some(chained) = inner.strip_prefix("else").or_else(|| inner.strip_prefix('^'))
            && chained.starts_with(|c: char| c.is_whitespace())
            && !chained.trim().is_empty()
            && let Some(block) = open.last_mut()
        {
            *block += 1;
            depth += 1;
        }
        if depth > BLOCKS {
            return Err((start, format!("blocks are nested more than {BLOCKS} levels deep")));
        }
    }
    Ok(tags)
}

/// How deep brackets nest.
fn brackets(tag: &str) -> usize {
    let mut deepest = 0usize;
    let mut depth = 0usize;
    for b in tag.bytes() {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Which block is opened and never closed, or closed and never opened: a place and a message.
pub(super) fn unbalanced(text: &str, tags: &[Tag]) -> Option<(usize, String)> {
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let mut open: Vec<&Tag> = Vec::new();
    for tag in tags {
        match (tag.kind, open.last()) {
            (TagKind::Open, _) => open.push(tag),
            (TagKind::Close, None) => {
                return Some((
                    tag.at,
                    format!("{{{{/{}}}}} closes a block that is not open", tag.name),
                ));
            }
            (TagKind::Close, Some(opened)) if opened.name == tag.name => drop(open.pop()),
            (TagKind::Close, Some(opened)) => {
                let (o, c) = (&opened.name, &tag.name);
                return Some((
                    tag.at,
                    format!(
                        "{{{{/{c}}}}} stands where {{{{#{o}}}}}, opened at line {}, must be closed first",
                        line(opened.at)
                    ),
                ));
            }
        }
    }
    open.last().map(|tag| {
        (tag.at, format!("{{{{#{}}}}} opened at line {} is never closed", tag.name, line(tag.at)))
    })
}
