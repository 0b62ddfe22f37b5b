//! The attribute `#[guarded]`: a bug in what Python calls is an error of ours there.
//!
//! PyO3 makes a panic a `PanicException`, which is no `Exception`: it passes every `except` of the user, and ends threads and
//! notebooks. So each body is handed to the extension module's `errors::guarded`, which catches it. An attribute, so that
//! no method can be forgotten.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// For a function or an `impl` whose functions return `PyResult`, above `#[pyfunction]` or `#[pymethods]`.
#[proc_macro_attribute]
pub fn guarded(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut in_function = false;
    item.into_iter().map(|token| guard(token, &mut in_function)).collect()
}

/// The body of a function is the first block behind its `fn`; the functions of an `impl` are in its block.
fn guard(token: TokenTree, in_function: &mut bool) -> TokenTree {
    match token {
        TokenTree::Ident(word) => {
            *in_function |= word.to_string() == "fn";
            TokenTree::Ident(word)
        }
        TokenTree::Group(block) if block.delimiter() == Delimiter::Brace => {
            let inner = if std::mem::take(in_function) {
                body(block.clone())
            } else {
                guarded(TokenStream::new(), block.stream())
            };
            let mut outer = Group::new(Delimiter::Brace, inner);
            outer.set_span(block.span());
            TokenTree::Group(outer)
        }
        other => other,
    }
}

fn body(block: Group) -> TokenStream {
    let mut call: TokenStream = "move ||".parse().unwrap_or_default();
    call.extend([TokenTree::Group(block)]);
    let mut guarded: TokenStream = "crate::errors::guarded".parse().unwrap_or_default();
    guarded.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, call))]);
    guarded
}
