//! What one render may cost. Counted in work, not in time, so that a busy machine never changes a message and `explain`
//! shows what was sent.

use std::cell::Cell;
use std::io::{self, Write};

use handlebars::template::{Template, TemplateElement};
use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output,
    RenderContext, RenderError, RenderErrorReason, Renderable,
};
use serde_json::Value;

/// The longest text of one part.
pub(super) const OUTPUT: usize = 256 * 1024;
/// The most turns that all `each` of one render take.
const TURNS: usize = 10_000;
/// The most bytes that one render touches: values read by helpers, text written, context copied for partials in loops.
/// 32 MiB take less than 50 ms on a small server.
const WORK: usize = 32 * 1024 * 1024;

#[derive(Clone, Copy, Default)]
struct Budget {
    turns: usize,
    work: usize,
    /// What including a partial copies.
    context: usize,
}

thread_local! {
    /// A render runs on one thread from beginning to end, and helpers get no other way to shared state.
    static BUDGET: Cell<Budget> = const { Cell::new(Budget { turns: 0, work: 0, context: 0 }) };
}

/// Begins a render of an event of `context` bytes.
pub(super) fn start(context: usize) {
    BUDGET.set(Budget { turns: TURNS, work: WORK, context });
}

/// Takes `bytes` of work.
pub(super) fn work(bytes: usize) -> Result<(), RenderError> {
    take(0, bytes)
}

fn take(turns: usize, bytes: usize) -> Result<(), RenderError> {
    let mut budget = BUDGET.get();
    budget.turns = budget
        .turns
        .checked_sub(turns)
        .ok_or_else(|| error("the loops take more than 10000 turns"))?;
    budget.work = budget.work.checked_sub(bytes).ok_or_else(|| error("it takes too much work"))?;
    BUDGET.set(budget);
    Ok(())
}

pub(super) fn error(message: &str) -> RenderError {
    RenderErrorReason::Other(message.to_owned()).into()
}

/// Takes text until the bound.
#[derive(Default)]
pub(super) struct Bounded(Vec<u8>);

impl Bounded {
    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.0).unwrap_or_default()
    }
}

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.0.len() + buf.len() > OUTPUT {
            return Err(io::Error::other("the text grows past 256 KiB"));
        }
        work(buf.len() + 16).map_err(|e| io::Error::other(e.to_string()))?;
        self.0.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `each` as handlebars has it, charged for its turns before the first of them. (The crate's own can't be wrapped: it is
/// not public.)
pub(super) struct Each;

impl HelperDef for Each {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let list = h.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("each", 0))?;
        let Some(body) = h.template() else { return Ok(()) };
        let entries: Vec<(Value, &Value)> = match list.value() {
            Value::Array(items) => {
                items.iter().enumerate().map(|(i, v)| (Value::from(i), v)).collect()
            }
            Value::Object(members) => {
                members.iter().map(|(k, v)| (Value::from(k.as_str()), v)).collect()
            }
            _ => Vec::new(),
        };
        if entries.is_empty() {
            return h.inverse().map_or(Ok(()), |otherwise| otherwise.render(r, ctx, rc, out));
        }
        let one = 64 + partials(body) * BUDGET.get().context;
        take(entries.len(), entries.len().saturating_mul(one))?;
        let path = list.context_path();
        let last = entries.len() - 1;
        rc.push_block(BlockContext::new());
        for (i, (key, value)) in entries.into_iter().enumerate() {
            if let Some(block) = rc.block_mut() {
                block.set_local_var("first", Value::from(i == 0));
                block.set_local_var("last", Value::from(i == last));
                block.set_local_var("index", Value::from(i));
                if key.is_string() {
                    block.set_local_var("key", key.clone());
                }
                match path {
                    Some(path) => {
                        block.base_path_mut().clone_from(path);
                        block
                            .base_path_mut()
                            .push(key.as_str().map_or_else(|| i.to_string(), str::to_owned));
                    }
                    None => block.set_base_value(value.clone()),
                }
                let (item, index) = match h.block_param_pair() {
                    Some((item, index)) => (Some(item), Some(index)),
                    None => (h.block_param(), None),
                };
                let mut params = BlockParams::new();
                if let Some(item) = item {
                    match path {
                        Some(_) => params.add_path(item, Vec::new())?,
                        None => params.add_value(item, value.clone())?,
                    }
                }
                if let Some(index) = index {
                    params.add_value(index, key)?;
                }
                block.set_block_params(params);
            }
            body.render(r, ctx, rc, out)?;
        }
        rc.pop_block();
        Ok(())
    }
}

/// How many partials a block includes itself.
fn partials(template: &Template) -> usize {
    let inside = |t: &Option<Template>| t.as_ref().map_or(0, partials);
    let count = |element: &TemplateElement| match element {
        TemplateElement::PartialExpression(_) => 1,
        TemplateElement::HelperBlock(h) => inside(&h.template) + inside(&h.inverse),
        _ => 0,
    };
    template.elements.iter().map(count).sum()
}
