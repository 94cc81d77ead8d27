//! Which serializer a state is written with, and whether another program can read it.
//!
//! Follows `TypeSerializerSnapshot.resolveSchemaCompatibility` of Flink 2.x: of a POJO
//! (`PojoSerializerSnapshot`: the class is the same; fields may come and go; what stays keeps its
//! type), of Avro (`AvroSerializerSnapshot` with Avro's schema resolution: types are promoted, a field
//! that comes needs a default), of a generic type (`KryoSerializerSnapshot` knows the class alone, so
//! that other fields are noticed only when bytes are read), of tuples and rows by position
//! (`CompositeTypeSerializerUtil`) and of single values (`SimpleTypeSerializerSnapshot`). The key's
//! serializer may not even need a migration (`HeapRestoreOperation`, `AbstractRocksDBRestoreOperation`).
//! Left out: types within types, subclasses and Kryo's registrations, and so what is compatible after
//! reconfiguration; aliases, unions and bytes of Avro; serializers of the user.

use serde::Serialize;
use std::fmt;

/// A single value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Plain {
    /// `boolean`.
    Boolean,
    /// `int`.
    Int,
    /// `long`.
    Long,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `String`.
    Text,
}

const PLAIN: [(Plain, &str); 6] = [
    (Plain::Boolean, "boolean"),
    (Plain::Int, "int"),
    (Plain::Long, "long"),
    (Plain::Float, "float"),
    (Plain::Double, "double"),
    (Plain::Text, "string"),
];

impl Plain {
    fn name(self) -> &'static str {
        let found = PLAIN.iter().find(|it| it.0 == self);
        found.map_or("", |it| it.1)
    }

    /// Whether a reader of this type takes what was written as another (Avro's promotions).
    fn reads(self, written: Plain) -> bool {
        use Plain::{Double, Float, Int, Long};
        let promoted: &[Plain] = match self {
            Long => &[Int],
            Float => &[Int, Long],
            Double => &[Int, Long, Float],
            _ => &[],
        };
        self == written || promoted.contains(&written)
    }
}

/// What writes a value of several fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Kind {
    /// `PojoSerializer`.
    Pojo,
    /// `AvroSerializer`.
    Avro,
    /// `KryoSerializer`: a type that Flink does not know (`GenericTypeInfo`).
    Generic,
    /// `TupleSerializer`.
    Tuple,
    /// `RowSerializer`.
    Row,
}

/// The words of [`Kind`].
pub const KINDS: [(Kind, &str); 5] = [
    (Kind::Pojo, "pojo"),
    (Kind::Avro, "avro"),
    (Kind::Generic, "generic"),
    (Kind::Tuple, "tuple"),
    (Kind::Row, "row"),
];

impl Kind {
    fn name(self) -> &'static str {
        let found = KINDS.iter().find(|it| it.0 == self);
        found.map_or("", |it| it.1)
    }
}

/// A field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// Its type.
    pub of: Plain,
    /// What it is where nothing was written (Avro); a POJO's is that of its type.
    pub default: Option<i64>,
}

/// A type, and so its serializer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Type {
    /// A single value.
    Plain(Plain),
    /// Fields.
    Fields {
        /// What writes them.
        kind: Kind,
        /// Its class, or the name of its record; empty for tuples and rows.
        class: String,
        /// At least one.
        fields: Vec<Field>,
    },
}

/// The types of a keyed state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StateSchema {
    /// Of its keys.
    pub key: Type,
    /// Of its values. A function's number is in the first field; the others hold their defaults.
    pub value: Type,
}

/// What becomes of a state under another serializer (`TypeSerializerSchemaCompatibility`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Compatibility {
    /// It reads what the old one wrote.
    AsIs,
    /// What the old one wrote is read with the old one and written anew.
    AfterMigration,
    /// Neither.
    Incompatible,
}

/// Whether a state can be taken over, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Evolution {
    /// With its values.
    Kept(Compatibility),
    /// The field of the number is another: all values begin at this.
    Begun(i64),
    /// `StateMigrationException` for the state's serializer.
    Incompatible,
    /// `StateMigrationException` for the key's serializer.
    OtherKey,
    /// The serializer takes it for its own, and cannot read the bytes (`KryoException`).
    Unreadable,
}

impl Type {
    /// What becomes of values of this type in a program that has another.
    #[must_use]
    pub fn resolve(&self, new: &Type) -> Compatibility {
        use Compatibility::{AfterMigration, AsIs, Incompatible};
        let (old, fields) = match (self, new) {
            (Type::Plain(old), Type::Plain(new)) if old == new => return AsIs,
            (Type::Fields { .. }, Type::Fields { fields, .. }) if self.is_kin(new) => {
                (self.fields(), fields.as_slice())
            }
            _ => return Incompatible,
        };
        let named = |all: &'_ [Field], name: &str| all.iter().position(|it| it.name == name);
        let before = |it: &Field| named(old, &it.name).and_then(|at| old.get(at));
        match self.kind() {
            Some(Kind::Pojo) => {
                let mut kept = fields.iter().filter_map(|it| Some((it, before(it)?)));
                if kept.any(|(new, old)| new.of != old.of) {
                    return Incompatible;
                }
                let same =
                    fields.len() == old.len() && fields.iter().all(|it| before(it).is_some());
                if same { AsIs } else { AfterMigration }
            }
            Some(Kind::Avro) if old == fields => AsIs,
            Some(Kind::Avro) => {
                let read = |it: &Field| match before(it) {
                    Some(old) => it.of.reads(old.of),
                    None => it.default.is_some(),
                };
                if fields.iter().all(read) {
                    AfterMigration
                } else {
                    Incompatible
                }
            }
            Some(Kind::Generic) => AsIs,
            Some(Kind::Tuple | Kind::Row) | None => {
                let mut both = fields.iter().zip(old);
                let same = fields.len() == old.len() && both.all(|(new, old)| new.of == old.of);
                if same { AsIs } else { Incompatible }
            }
        }
    }

    /// Whether another type has the same serializer for the same class.
    fn is_kin(&self, other: &Type) -> bool {
        let named = |it: &Type| match it {
            Type::Plain(_) => None,
            Type::Fields { kind, class, .. } => Some((*kind, class.clone())),
        };
        named(self) == named(other)
    }

    /// What writes it, if it has fields.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Type::Plain(_) => None,
            Type::Fields { kind, .. } => Some(*kind),
        }
    }

    fn fields(&self) -> &[Field] {
        match self {
            Type::Plain(_) => &[],
            Type::Fields { fields, .. } => fields,
        }
    }

    /// Whether a generic type has other fields: Kryo's `FieldSerializer` writes them in the order of
    /// their names, without the names.
    fn garbles(&self, new: &Type) -> bool {
        let sorted = |it: &Type| {
            let mut all: Vec<(String, &str)> = it
                .fields()
                .iter()
                .map(|it| (it.name.clone(), it.of.name()))
                .collect();
            all.sort();
            all
        };
        self.kind() == Some(Kind::Generic) && sorted(self) != sorted(new)
    }

    /// What the number begins at if its field was not there before.
    fn begins(&self, new: &Type) -> Option<i64> {
        let by_name = matches!(self.kind(), Some(Kind::Pojo | Kind::Avro));
        let (old, new) = (self.fields().first()?, new.fields().first()?);
        (by_name && old.name != new.name).then(|| new.default.unwrap_or(0))
    }

    /// Reads a type such as `long` or `pojo Turnover { sum: long, orders: int }`; else what is wrong.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((head, rest)) = text.split_once('{') else {
            return plain(text).map(Type::Plain);
        };
        let body = rest.trim_end().strip_suffix('}');
        let body = body.ok_or_else(|| format!("`{text}` does not end with a }}"))?;
        let mut words = head.split([' ', ':']).filter(|it| !it.is_empty());
        let (kind, class) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let known = KINDS.iter().find(|it| it.1 == kind).map(|it| it.0);
        let kind = known.ok_or_else(|| {
            format!("`{kind}` is no serializer: pojo, avro, generic, tuple and row are")
        })?;
        let positional = matches!(kind, Kind::Tuple | Kind::Row);
        if positional != class.is_empty() || words.next().is_some() {
            return Err(match positional {
                true => "a tuple and a row have no class".to_owned(),
                false => "the class is one word between serializer and {".to_owned(),
            });
        }
        let fields: Result<Vec<Field>, String> = body.split(',').map(Field::read).collect();
        let fields = fields?;
        for (at, it) in fields.iter().enumerate() {
            if fields.iter().take(at).any(|before| before.name == it.name) {
                return Err(format!("the field `{}` is there twice", it.name));
            }
            if it.default.is_some() && kind != Kind::Avro {
                return Err("only fields of avro have defaults of their own".to_owned());
            }
        }
        let class = class.to_owned();
        Ok(Type::Fields {
            kind,
            class,
            fields,
        })
    }
}

fn plain(text: &str) -> Result<Plain, String> {
    let found = PLAIN.iter().find(|it| it.1 == text.trim());
    let all = PLAIN.map(|it| it.1).join(", ");
    let wrong = || format!("`{}` is no type: {all} are", text.trim());
    found.map(|it| it.0).ok_or_else(wrong)
}

impl Field {
    fn read(text: &str) -> Result<Self, String> {
        let (name, of) = text
            .split_once(':')
            .ok_or_else(|| format!("`{}` is no field: name: type", text.trim()))?;
        let name = name.trim();
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(sound) {
            return Err(format!("`{name}` is no name of a field"));
        }
        let (of, default) = match of.split_once('=') {
            Some((of, number)) => {
                let read = number.trim().parse();
                (
                    of,
                    Some(read.map_err(|_| format!("`{}` is no whole number", number.trim()))?),
                )
            }
            None => (of, None),
        };
        let (name, of) = (name.to_owned(), plain(of)?);
        Ok(Field { name, of, default })
    }
}

impl StateSchema {
    /// Reads the type of the values, or `key -> value`; a key is a string where nothing is said.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let (key, value) = match text.split_once("->") {
            Some((key, value)) => (Type::read(key)?, value),
            None => (Type::Plain(Plain::Text), text),
        };
        let value = Type::read(value)?;
        Ok(StateSchema { key, value })
    }

    /// What becomes of a state of this schema in a program that has another.
    #[must_use]
    pub fn evolve(&self, new: &StateSchema) -> Evolution {
        if self.key.resolve(&new.key) != Compatibility::AsIs {
            return Evolution::OtherKey;
        }
        if self.key.garbles(&new.key) || self.value.garbles(&new.value) {
            let known = self.value.resolve(&new.value) != Compatibility::Incompatible;
            return if known {
                Evolution::Unreadable
            } else {
                Evolution::Incompatible
            };
        }
        match self.value.resolve(&new.value) {
            Compatibility::Incompatible => Evolution::Incompatible,
            how => match self.value.begins(&new.value) {
                Some(number) => Evolution::Begun(number),
                None => Evolution::Kept(how),
            },
        }
    }

    /// The schema in one word, as it stands in a command.
    #[must_use]
    pub fn word(&self) -> String {
        // Blanks stand between serializer and class alone, where `:` does as well.
        let text = self.to_string();
        let words = KINDS.iter().fold(text, |text, (_, kind)| {
            text.replace(&format!("{kind} "), &format!("{kind}:"))
        });
        words.replace(' ', "")
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, class, fields) = match self {
            Type::Plain(it) => return f.write_str(it.name()),
            Type::Fields {
                kind,
                class,
                fields,
            } => (kind, class, fields),
        };
        write!(f, "{} ", kind.name())?;
        if !class.is_empty() {
            write!(f, "{class} ")?;
        }
        for (at, it) in fields.iter().enumerate() {
            let before = if at == 0 { "{ " } else { ", " };
            write!(f, "{before}{}: {}", it.name, it.of.name())?;
            it.default.iter().try_for_each(|it| write!(f, " = {it}"))?;
        }
        f.write_str(" }")
    }
}

impl fmt::Display for StateSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key != Type::Plain(Plain::Text) {
            write!(f, "{} -> ", self.key)?;
        }
        write!(f, "{}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn schema(text: &str) -> StateSchema {
        StateSchema::read(text).expect("a schema")
    }

    #[test]
    fn a_schema_reads_as_it_is_written() {
        for text in [
            "long",
            "pojo Turnover { sum: long, orders: int }",
            "avro Turnover { sum: long = 0, name: string }",
            "tuple { f0: long, f1: double }",
            "pojo Customer { id: long } -> generic Basket { sum: long }",
            "row { sum: float } -> boolean",
        ] {
            let it = schema(text);
            assert_eq!(it.to_string(), text);
            assert!(!it.word().contains(' '), "{}", it.word());
            assert_eq!(schema(&it.word()), it, "{}", it.word());
        }
    }

    #[test]
    fn what_is_no_schema_is_said() {
        for (text, said) in [
            ("lnog", "`lnog` is no type: boolean"),
            ("pojo Turnover { sum: lnog }", "`lnog` is no type"),
            ("pjo Turnover { sum: long }", "`pjo` is no serializer"),
            ("pojo { sum: long }", "the class is one word"),
            ("row Turnover { sum: long }", "have no class"),
            ("pojo Turnover { sum: long", "does not end with a }"),
            ("pojo Turnover { sum: long, sum: int }", "is there twice"),
            ("pojo Turnover { sum: long = 1 }", "only fields of avro"),
            ("avro Turnover { sum: long = x }", "`x` is no whole number"),
            ("pojo Turnover { sum }", "`sum` is no field"),
        ] {
            let wrong = StateSchema::read(text).expect_err(text);
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
    }

    #[test]
    fn schemas_evolve_by_the_rules_of_their_serializers() {
        use Compatibility::{AfterMigration, AsIs};
        use Evolution::{Begun, Incompatible, Kept, OtherKey, Unreadable};
        let check = |old: &str, new: &str, expect| {
            assert_eq!(schema(old).evolve(&schema(new)), expect, "{old} → {new}");
        };
        let pojo = "pojo T { sum: long, n: int }";
        check(pojo, pojo, Kept(AsIs));
        check(
            pojo,
            "pojo T { sum: long, n: int, mean: double }",
            Kept(AfterMigration),
        );
        check(pojo, "pojo T { sum: long }", Kept(AfterMigration));
        check(pojo, "pojo T { sum: long, n: long }", Incompatible);
        check(pojo, "pojo Total { sum: long, n: int }", Incompatible);
        check(pojo, "avro T { sum: long, n: int }", Incompatible);
        // A new name is a field that goes and one that comes.
        check(pojo, "pojo T { total: long, n: int }", Begun(0));
        let avro = "avro T { sum: long, n: int }";
        check(avro, "avro T { sum: long, n: long }", Kept(AfterMigration));
        check(avro, "avro T { sum: int, n: int }", Incompatible);
        check(
            avro,
            "avro T { sum: long, n: int, mean: double }",
            Incompatible,
        );
        check(
            avro,
            "avro T { sum: long, mean: double = 0 }",
            Kept(AfterMigration),
        );
        check(avro, "avro T { total: long = 7 }", Begun(7));
        check(avro, "avro U { sum: long, n: int }", Incompatible);
        // Kryo's snapshot knows the class alone.
        let generic = "generic T { sum: long }";
        check(generic, "generic T { sum: long }", Kept(AsIs));
        check(generic, "generic T { sum: long, n: int }", Unreadable);
        check(generic, "generic U { sum: long, n: int }", Incompatible);
        check(generic, "pojo T { sum: long }", Incompatible);
        check(
            "tuple { f0: long }",
            "tuple { f0: long, f1: int }",
            Incompatible,
        );
        check("row { a: long }", "row { b: long }", Kept(AsIs));
        check("int", "long", Incompatible);
        // What a value may do, a key may not.
        let keyed = |key: &str| format!("{key} -> long");
        check(
            &keyed("pojo K { id: long }"),
            &keyed("pojo K { id: long }"),
            Kept(AsIs),
        );
        check(
            &keyed("pojo K { id: long }"),
            &keyed("pojo K { id: long, shop: int }"),
            OtherKey,
        );
        check("long", &keyed("long"), OtherKey);
    }
}
