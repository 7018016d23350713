//! The kinds of steps.

/// What can be done about a step that was taken.
///
/// Hector Garcia-Molina and Kenneth Salem: *Sagas*, 1987, section 2; the three kinds are those of
/// Sharad Mehrotra et al.: *A transaction model for multidatabase systems*, 1992, section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It has a compensation. Before the pivot, if there is one.
    Compensatable,
    /// The point of no return: until it is taken everything can be compensated, and once it is, the
    /// rest is done whatever it takes. At most one.
    Pivot,
    /// After the pivot: tried until it is done.
    Retriable,
}
