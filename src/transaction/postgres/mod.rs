//! What logs and participants on `PostgreSQL` share: a connection that is asked, what its errors
//! tell, values as text.

mod link;
mod text;
mod trouble;

pub(in crate::transaction) use link::{ANSWER_MAX, Link};
pub(in crate::transaction) use text::bytes;
pub(in crate::transaction) use trouble::{Source, Trouble, trouble, unfit};
