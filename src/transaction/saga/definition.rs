//! The steps of a saga, put together and checked.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blueprint::{Blueprint, Fingerprint, Work};
use super::error::{DefinitionError, StepError};
use super::run::Run;
use super::shape::{Plan, Shape};
use super::state::Execution;
use super::step::Step;

/// A saga over an input `I`: steps, their order, and how each is compensated. Cheap to clone.
///
/// ```
/// use tripod::transaction::saga::{Definition, DefinitionError, Run, Step, StepError};
///
/// async fn reserve(run: Run<u32>) -> Result<String, StepError> {
///     Ok(format!("{} seats, under {}", run.input(), run.key()))
/// }
///
/// async fn release(_: Run<u32>, _: Option<String>) -> Result<(), StepError> {
///     Ok(())
/// }
///
/// async fn charge(run: Run<u32>) -> Result<(), StepError> {
///     let seats: String = run.output("reserve")?;
///     println!("charging for {seats}");
///     Ok(())
/// }
///
/// # fn main() -> Result<(), DefinitionError> {
/// let definition = Definition::builder("book", 1)
///     .step(Step::new("reserve", 1, reserve).compensate(release))
///     .step(Step::new("charge", 1, charge).pivot())
///     .build()?;
/// assert_eq!(definition.name(), "book");
/// # Ok(())
/// # }
/// ```
pub struct Definition<I> {
    pub(super) blueprint: Arc<Blueprint>,
    input: PhantomData<fn(I)>,
}

/// A definition about to be checked.
#[must_use]
pub struct DefinitionBuilder<I> {
    name: String,
    version: u32,
    deadline: Option<Duration>,
    steps: Vec<(Plan, Work)>,
    /// The last step or saga that was added.
    previous: Option<Arc<str>>,
    /// The last steps of each saga within this one: who comes after it, comes after them.
    groups: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    flaw: Option<DefinitionError>,
    input: PhantomData<fn(I)>,
}

impl<I> Definition<I>
where
    I: Serialize + DeserializeOwned + Send + 'static,
{
    /// Begins a definition of this name and version. Several versions of a name run side by side:
    /// what a version has begun, that version ends.
    pub fn builder(name: impl Into<String>, version: u32) -> DefinitionBuilder<I> {
        DefinitionBuilder {
            name: name.into(),
            version,
            deadline: None,
            steps: Vec::new(),
            previous: None,
            groups: BTreeMap::new(),
            flaw: None,
            input: PhantomData,
        }
    }
}

impl<I> Definition<I> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.blueprint.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.blueprint.version
    }

    /// The same, but for what is run.
    pub(super) fn with(&self, works: Vec<Work>) -> Self {
        let blueprint = &self.blueprint;
        let blueprint = Blueprint {
            name: Arc::clone(&blueprint.name),
            version: blueprint.version,
            fingerprint: blueprint.fingerprint,
            shape: Arc::clone(&blueprint.shape),
            works,
            deadline: blueprint.deadline,
        };
        Self {
            blueprint: Arc::new(blueprint),
            input: PhantomData,
        }
    }

    /// What a saga of it decides, and nothing else: for models, and to see what would follow.
    #[must_use]
    pub fn execution(&self) -> Execution {
        Execution::new(Arc::clone(&self.blueprint.shape))
    }

    /// The names of its steps by number, each behind all that it comes after.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.blueprint.shape.nodes().iter().map(|node| &*node.name)
    }
}

impl<I> DefinitionBuilder<I>
where
    I: DeserializeOwned + Send + 'static,
{
    /// Adds a step: after the one before, unless it says otherwise.
    pub fn step<O>(mut self, step: Step<I, O>) -> Self {
        let Some(name) = self.check(&step.name) else {
            return self;
        };
        let Some(kind) = step.kind else {
            self.flaw
                .get_or_insert(DefinitionError::MissingCompensation(name));
            return self;
        };
        let after = step
            .after
            .unwrap_or_else(|| self.previous.iter().cloned().collect());
        let plan = Plan {
            name: Arc::clone(&name),
            version: step.version,
            kind,
            undone: step.work.compensation.is_some(),
            after,
        };
        self.steps.push((plan, step.work));
        self.previous = Some(name);
        self
    }

    /// Adds all steps of another saga, as `name/step`: it begins after the step or saga that was
    /// added before, with the input that `input` gives; what comes after `name` comes after all of
    /// it. It is one saga: if a later step fails, this one is compensated too; and there is one
    /// pivot in all.
    pub fn saga<J, F>(mut self, name: impl Into<String>, saga: &Definition<J>, input: F) -> Self
    where
        J: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(&Run<I>) -> Result<J, StepError> + Send + Sync + 'static,
    {
        let name: String = name.into();
        let version = saga.version();
        let begins = Step::new(name.as_str(), version, move |run: Run<I>| {
            std::future::ready(input(&run))
        });
        self = self.step(begins.harmless());
        let name: Arc<str> = name.into();
        let within = |inner: &str| -> Arc<str> { format!("{name}/{inner}").into() };
        let blueprint = &saga.blueprint;
        let nodes = blueprint.shape.nodes();
        for (node, work) in nodes.iter().zip(&blueprint.works) {
            let first = node.after.is_empty().then(|| Arc::clone(&name));
            let after = node
                .after
                .iter()
                .map(|it| within(&blueprint.shape.name(*it)));
            let plan = Plan {
                name: within(&node.name),
                version: node.version,
                kind: node.kind,
                undone: node.undone,
                after: first.into_iter().chain(after).collect(),
            };
            let mut work = work.clone();
            work.scope = Some(match work.scope {
                Some(inner) => within(&inner),
                None => Arc::clone(&name),
            });
            self.steps.push((plan, work));
        }
        let last = nodes.iter().filter(|node| node.before.is_empty());
        let last = last.map(|node| within(&node.name)).collect();
        self.groups.insert(name, last);
        self
    }

    /// How long the whole saga may take, from its start, restarts included. Then what was done is
    /// compensated, unless the pivot has been tried: from there it goes to its end. Default: as long
    /// as it takes.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`DefinitionError`], with the names.
    pub fn build(mut self) -> Result<Definition<I>, DefinitionError> {
        let name = self.name.clone();
        let name = self.check(&name);
        if let Some(flaw) = self.flaw {
            return Err(flaw);
        }
        let (mut plans, works): (Vec<Plan>, Vec<Work>) = self.steps.into_iter().unzip();
        let inner: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for plan in &mut plans {
            // The steps within a saga come after its beginning, and all others after its end.
            let own = inner.iter().any(|group| is_within(&plan.name, group));
            if !own {
                plan.after = expand(&plan.after, &self.groups);
            }
        }
        let (shape, order) = Shape::new(&plans)?;
        let works = order.iter().filter_map(|at| works.get(*at).cloned());
        let name = name.unwrap_or_else(|| Arc::from(""));
        let blueprint = Blueprint {
            fingerprint: Fingerprint::of(&name, self.version, &shape),
            name,
            version: self.version,
            works: works.collect(),
            shape: Arc::new(shape),
            deadline: self.deadline,
        };
        Ok(Definition {
            blueprint: Arc::new(blueprint),
            input: PhantomData,
        })
    }

    /// The first flaw counts.
    fn check(&mut self, name: &str) -> Option<Arc<str>> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
            return Some(name.into());
        }
        self.flaw
            .get_or_insert(DefinitionError::Name(name.to_owned()));
        None
    }
}

fn is_within(name: &str, group: &str) -> bool {
    let rest = name.strip_prefix(group);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// In the place of each saga, its last steps.
fn expand(names: &[Arc<str>], groups: &BTreeMap<Arc<str>, Vec<Arc<str>>>) -> Vec<Arc<str>> {
    let expanded = names.iter().flat_map(|name| match groups.get(name) {
        Some(last) => last.clone(),
        None => vec![Arc::clone(name)],
    });
    expanded.collect()
}

impl<I> Clone for Definition<I> {
    fn clone(&self) -> Self {
        Self {
            blueprint: Arc::clone(&self.blueprint),
            input: PhantomData,
        }
    }
}

impl<I> fmt::Debug for Definition<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.blueprint.fmt(f)
    }
}

impl<I> fmt::Debug for DefinitionBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefinitionBuilder")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}
