//! Mistakes that a test plants in the remapping and in what settles rows, one at a time, to see that the proof finds each of them.
//!
//! Each stands where somebody could make it: `planted!(BUG, right, wrong)`. Outside unit tests only what is right is
//! compiled.

/// Gives what is right.
#[cfg(not(test))]
macro_rules! planted {
    ($bug:ident, $right:expr, $wrong:expr) => {
        $right
    };
}

/// Gives what is right, or what is wrong where a test has planted the bug.
#[cfg(test)]
macro_rules! planted {
    ($bug:ident, $right:expr, $wrong:expr) => {
        if crate::remap::planted::is(crate::remap::planted::Bug::$bug) { $wrong } else { $right }
    };
}

pub(crate) use planted;

#[cfg(test)]
pub(super) use switch::twin;
#[cfg(test)]
pub(crate) use switch::{Bug, is};

#[cfg(test)]
mod switch {
    use crate::remap::TablePass;
    use crate::remap::passes::Field;
    use std::cell::Cell;

    /// A mistake, and what it does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Bug {
        /// The words for false are true.
        AnyWordIsTrue,
        /// A text loses the spaces at its end.
        SpacesTrimmed,
        /// '' becomes NULL.
        EmptyIsNull,
        /// A blob ends at its first zero byte.
        BytesEndAtZero,
        /// An integer goes through a double on its way.
        IntegerThroughDouble,
        /// Fractions of a second are lost.
        FractionDropped,
        /// An offset from UTC counts an hour more.
        OffsetAnHourMore,
        /// A day is counted from the wrong end of its predecessor.
        DayLate,
        /// The first group of a UUID stands in the byte order of another system.
        UuidByteOrder,
        /// A numeric has one decimal less than it needs; the server cuts the rest off without a word.
        DisplayScaleShort,
        /// Rounding is towards zero.
        RoundedDown,
        /// Julian days begin at midnight.
        JulianDayAtMidnight,
        /// A zone's clock shows UTC.
        ClockOfUtc,
        /// `null_if` is not asked.
        NullIfForgotten,
        /// Two columns of one type take each other's values.
        ColumnsSwapped,
        /// References lead to the first row of their parent.
        FirstParentForAll,
        /// The first tenant has every row.
        FirstTenantForAll,
        /// The first two tenants are taken for each other.
        TenantsSwapped,
        /// A reference to another tenant's row names the tenant of the row that it stands in.
        OwnTenantInReference,
        /// Of several copies the last is not made.
        CopyForgotten,
        /// Rows that nothing is wrong with are rejected.
        SoundRejected,
        /// Rows whose references lead nowhere are taken for sound.
        OrphansKept,
        /// Rows that refer to a rejected one stay.
        ReferrersStay,
        /// What `keep` names is left out, and the rest is moved.
        KeepTurnedRound,
        /// Every reject is recorded for the same reason.
        ReasonMistaken,
        /// A reference is cleared in rows where it leads to one.
        SoundCleared,
        /// What a row that `keep` leaves out takes along counts as rejected.
        LeftOutRejected,
    }

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Has this thread make the mistake while something runs.
        pub(crate) fn during<T>(self, run: impl FnOnce() -> T) -> T {
            PLANTED.set(Some(self));
            let done = run();
            PLANTED.set(None);
            done
        }
    }

    /// Says whether this thread is to make the mistake.
    pub(crate) fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Returns where another value of the same type stands that is converted alike; the same place where there is none.
    pub(in crate::remap) fn twin(pass: &TablePass, position: usize) -> usize {
        let values = |field: &Field| match field {
            Field::Value { position, data_type, not_null: false, conversion: None } => Some((*position, *data_type)),
            _ => None,
        };
        let all: Vec<_> = pass.fields.iter().filter_map(values).collect();
        let own = all.iter().find(|(other, _)| *other == position);
        let twin = own.and_then(|own| all.iter().find(|other| other.0 != own.0 && other.1 == own.1));
        twin.map_or(position, |twin| twin.0)
    }
}
