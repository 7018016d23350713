//! The locks that workers contend for, and how each is used.

/// All of them, in three families of use: writers only, readers and writers, permits.
pub const NAMES: [&str; 5] = [
    "only/1",
    "only/2",
    "only/3",
    "readers and writers",
    "{permits}",
];

/// Of how many permits workers take one or two.
pub const PERMITS: u32 = 3;

/// How a name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Exclusive,
    Shared,
    Permits(u32),
}

impl Use {
    /// The uses of this name.
    pub fn of_name(name: usize) -> &'static [Self] {
        match name {
            0..3 => &[Self::Exclusive],
            3 => &[Self::Exclusive, Self::Shared, Self::Shared],
            _ => &[Self::Permits(1), Self::Permits(2)],
        }
    }

    /// What nobody else can hold beside.
    pub fn whole(name: usize) -> Self {
        match name {
            0..=3 => Self::Exclusive,
            _ => Self::Permits(PERMITS),
        }
    }

    pub fn letter(self) -> char {
        match self {
            Self::Exclusive => 'x',
            Self::Shared => 's',
            Self::Permits(1) => '1',
            Self::Permits(_) => '2',
        }
    }

    pub fn of_letter(letter: &str) -> Option<Self> {
        match letter {
            "x" => Some(Self::Exclusive),
            "s" => Some(Self::Shared),
            "1" => Some(Self::Permits(1)),
            "2" => Some(Self::Permits(2)),
            _ => None,
        }
    }

    /// How much of a name it takes, of [`WHOLE`].
    pub fn part(self) -> u32 {
        match self {
            Self::Exclusive => WHOLE,
            // A crowd of readers fits, but none beside a writer.
            Self::Shared => 1,
            Self::Permits(n) => n * (WHOLE / PERMITS),
        }
    }
}

/// As much as may be held of a name at a time.
pub const WHOLE: u32 = 1_000;
