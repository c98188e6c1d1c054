//! Columns that are decoded one by one, so that one bad value concerns its own row only.

use serde::Serialize;
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
};

/// A column whose value may not be what its type promises: NULL, or JSON that no parser here takes.
///
/// Decoding never fails, because the driver gives up all rows of an answer at the first one that it cannot decode.
#[derive(Debug)]
pub(crate) struct Lenient<T>(Option<T>);

/// A row that cannot be read, by the first column at fault. The value is content and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableColumn(pub &'static str);

impl<T> Lenient<T> {
    /// Returns the value of the column `name`.
    pub(crate) fn read(self, name: &'static str) -> Result<T, UnreadableColumn> {
        self.0.ok_or(UnreadableColumn(name))
    }

    /// Returns the value; or the type's default, with the column added to `unreadable`.
    pub(crate) fn or_default(self, column: UnreadableColumn, unreadable: &mut Vec<UnreadableColumn>) -> T
    where
        T: Default,
    {
        self.0.unwrap_or_else(|| {
            unreadable.push(column);
            T::default()
        })
    }
}

impl<T: Type<Postgres>> Type<Postgres> for Lenient<T> {
    fn type_info() -> PgTypeInfo {
        T::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        T::compatible(ty)
    }
}

impl<'r, T: Decode<'r, Postgres>> Decode<'r, Postgres> for Lenient<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(T::decode(value).ok()))
    }
}
