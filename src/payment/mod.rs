//! How credit is paid for.
//!
//! An invoice asks for a payment. A [`PaymentProvider`] is handed it once and says whether somebody
//! still has to pay. Whatever it is, the credit itself is a top-up of the ledger whose idempotency
//! key is the invoice's id: an invoice that is paid twice adds its credit once.

use std::fmt;

mod fee;

pub use fee::Fee;

use serde::{Deserialize, Serialize};

use crate::vocab::{AccountId, NanoUsd};

/// A request for a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its id: `inv_` and 32 hexadecimal digits.
    pub id: String,
    /// Whose credit it buys.
    #[serde(with = "account_text")]
    pub account: AccountId,
    /// How much credit, in nano-dollars; more than nothing.
    #[serde(with = "nano")]
    pub amount: NanoUsd,
    /// What is to be paid beside it, in nano-dollars; as it was when the invoice was made.
    #[serde(with = "nano", default)]
    pub fee: NanoUsd,
    /// Why it was made.
    pub cause: Cause,
    /// Where it stands.
    pub status: Status,
    /// The payment provider has been handed it.
    pub requested: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was paid or voided.
    pub closed_ms: Option<u64>,
    /// What the payment is known by outside, for instance a bank's reference.
    pub reference: Option<String>,
    /// What whoever asked for it calls it, so that asking again makes no second one.
    pub idempotency_key: Option<String>,
}

/// Why an invoice was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The account's balance fell below what its terms say.
    AutoTopUp,
    /// Somebody asked for it.
    Asked,
}

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its payment.
    Open,
    /// It is paid, and its credit is on its way into the ledger or already there.
    Paying,
    /// It is paid, and its credit is in the ledger.
    Paid,
    /// Nobody will pay it.
    Void,
}

impl Status {
    /// Whether nothing more happens to it.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Paid | Self::Void)
    }
}

/// A way to pay. Called on a thread that may block, never on a request's path.
pub trait PaymentProvider: Send + Sync + 'static {
    /// The payment method in the ledger's books: 1 to 32 of `a-z 0-9 _ -`.
    fn method(&self) -> &'static str;

    /// Asks for the payment of an invoice. It may be handed the same one again after a crash, and
    /// must then not ask for the money twice: the id tells.
    ///
    /// # Errors
    /// It could not ask; it is handed the invoice again later.
    fn request(&self, invoice: &Invoice) -> Result<Requested, PaymentFailed>;
}

/// What became of an invoice at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requested {
    /// Somebody has to pay and say so.
    Waits,
    /// It is paid, by the payment of this reference.
    Paid(String),
}

/// Why a payment could not be asked for; for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentFailed(pub String);

impl fmt::Display for PaymentFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PaymentFailed {}

/// Payment outside of Turnpike, for instance by a bank transfer: the operator sees the invoice,
/// sends it to the customer in their own way, and confirms its payment.
#[derive(Clone, Copy, Debug)]
pub struct Manual;

impl PaymentProvider for Manual {
    fn method(&self) -> &'static str {
        "invoice"
    }

    fn request(&self, _: &Invoice) -> Result<Requested, PaymentFailed> {
        Ok(Requested::Waits)
    }
}

mod account_text {
    use super::AccountId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(id: &AccountId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AccountId, D::Error> {
        let text = String::deserialize(from)?;
        AccountId::parse(&text).map_err(de::Error::custom)
    }
}

mod nano {
    use super::NanoUsd;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(amount: &NanoUsd, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(amount.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NanoUsd, D::Error> {
        i64::deserialize(from).map(NanoUsd)
    }
}
