//! The one shape in which our traits return futures.

use std::pin::Pin;

/// A boxed future that may move between threads: what the methods of dyn-compatible traits
/// return. Implementors write `Box::pin(async move { … })`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
