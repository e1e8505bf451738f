//! What happens to accounts and keys that somebody should hear of, and the invoices that follow.
//!
//! Nothing here is on a request's path: balances are looked at now and then ([`Events::look`]).
//! What is to be told is decided and stored in one step, so that a crash neither loses it nor tells
//! it anew under another id. Delivery is up to whoever asks for what is [due](Events::due).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ledger::{Account, KeyEntry, Ledger, ManageError};
use crate::payment::{Cause, Fee, Invoice, PaymentProvider, Requested, Status};
use crate::terms::Reset;
use crate::vocab::{AccountId, NanoUsd};

mod file;
mod invoice;
mod outbox;
mod sign;
mod watch;

pub(crate) use invoice::view;
pub use invoice::{InvoiceError, NewInvoice};
pub use outbox::Event;
pub use sign::SigningSecret;

use outbox::Outbox;
use watch::Told;

/// The most invoices that are open at a time.
const OPEN_MAX: usize = 10_000;
/// The most closed invoices that are kept; the ledger has their credit for ever.
const CLOSED_MAX: usize = 10_000;

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Book {
    told: Told,
    invoices: Vec<Invoice>,
    outbox: Outbox,
    /// What is to be logged once the rest is stored.
    #[serde(skip)]
    news: Vec<Event>,
}

/// Events and invoices of one ledger.
pub struct Events {
    path: PathBuf,
    book: Mutex<Book>,
    payment: Arc<dyn PaymentProvider>,
    fee: Fee,
    /// Whether events are delivered; otherwise they are only logged.
    delivered: bool,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Events {
    /// Reads what is stored in the ledger's directory. `delivered` says whether somebody delivers
    /// what is due; without that, events are logged and forgotten.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn open(
        data: &Path,
        payment: Arc<dyn PaymentProvider>,
        delivered: bool,
    ) -> io::Result<Self> {
        let path = data.join("events.json");
        let book = Mutex::new(file::load(&path)?);
        Ok(Self { path, book, payment, fee: Fee::NONE, delivered })
    }

    /// The same, with a fee on what is bought from now on.
    #[must_use]
    pub const fn with_fee(mut self, fee: Fee) -> Self {
        self.fee = fee;
        self
    }

    /// What is to be paid beside so much credit.
    pub(crate) fn fee_on(&self, amount: NanoUsd) -> NanoUsd {
        self.fee.on(amount)
    }

    /// Changes the book. Only what is stored counts.
    fn change<T, E: From<io::Error>>(
        &self,
        deed: impl FnOnce(&mut Book) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut book = self.book.lock();
        let mut next = book.clone();
        let done = deed(&mut next)?;
        if next != *book {
            file::save(&self.path, &next)?;
            for Event { id, kind, data, .. } in next.news.drain(..) {
                tracing::info!(event_id = id, kind, %data, "An event.");
            }
            *book = next;
        }
        Ok(done)
    }

    /// Looks which thresholds were crossed since the last time, and asks for payments that are due.
    ///
    /// # Errors
    /// What was found cannot be stored; it is found again the next time.
    pub fn look(&self, ledger: &Ledger, now_ms: u64) -> io::Result<()> {
        self.change::<_, io::Error>(|book| {
            let keys = ledger.keys();
            for account in keys.accounts() {
                self.look_at_account(book, account, now_ms)?;
            }
            for key in keys.keys() {
                self.look_at_key(book, key, now_ms)?;
            }
            book.told.keep_keys(|id| keys.key(id).is_some());
            Ok(())
        })?;
        self.request_payments(ledger, now_ms)
    }

    fn look_at_account(&self, book: &mut Book, account: &Account, now_ms: u64) -> io::Result<()> {
        let (id, terms) = (account.id(), account.terms());
        let balance = account.balance().balance;
        if book.told.low_balance(id.as_str(), balance, terms.low_balance) {
            let data = json!({
                "account_id": id,
                "balance_usd": balance.to_string(),
                "low_balance_usd": terms.low_balance.map(|low| low.to_string()),
            });
            self.tell(book, "account.low_balance", data, now_ms)?;
        }
        let auto = terms.auto_top_up;
        let below = auto.map(|auto| auto.below);
        let Some(auto) = auto.filter(|_| book.told.top_up(id.as_str(), account.available(), below))
        else {
            if below.is_none() {
                book.told.topped_up(id.as_str());
            }
            return Ok(());
        };
        let open = |invoice: &Invoice| {
            invoice.account == *id
                && !invoice.status.is_closed()
                && invoice.cause == Cause::AutoTopUp
        };
        if !book.invoices.iter().any(open) {
            self.invoice_for(book, (id, auto.amount), (Cause::AutoTopUp, None), now_ms)?;
        }
        Ok(())
    }

    fn look_at_key(&self, book: &mut Book, key: &KeyEntry, now_ms: u64) -> io::Result<()> {
        let terms = key.terms();
        if terms.limit.is_none() {
            return Ok(());
        }
        let usage = key.usage(now_ms);
        let (period, (spent, byok)) = match terms.reset {
            None => (0, (usage.spent, usage.byok)),
            Some(reset) => (reset.period(now_ms), usage.in_period(reset)),
        };
        let used = if terms.byok_in_limit { spent + byok } else { spent };
        let refused = key.refused_by_limit(now_ms);
        let reached = (used, terms.limit, refused);
        let Some(step) = book.told.key_limit(key.id().as_str(), period, reached) else {
            return Ok(());
        };
        let data = json!({
            "key_id": key.id(),
            "account_id": key.account().id(),
            "label": terms.label,
            "percent": step,
            "used_usd": used.to_string(),
            "limit_usd": terms.limit.map(|limit| limit.to_string()),
            "limit_reset": terms.reset.map(Reset::as_str),
        });
        self.tell(book, "key.limit_reached", data, now_ms)
    }

    fn tell(&self, book: &mut Book, kind: &str, data: Value, now_ms: u64) -> io::Result<()> {
        let id = fresh_id("evt_")?;
        let event = Event {
            id,
            kind: kind.to_owned(),
            created_ms: now_ms,
            data,
            attempts: 0,
            next_ms: now_ms,
            last_error: None,
        };
        book.news.push(event.clone());
        if !self.delivered {
            return Ok(());
        }
        let dropped = book.outbox.add(event);
        if let Some(outbox::Dropped(id)) = dropped {
            tracing::error!(event_id = %id, "Too many events wait: the oldest is dropped.");
        }
        Ok(())
    }

    fn invoice_for(
        &self,
        book: &mut Book,
        (account, amount): (&AccountId, NanoUsd),
        (cause, idempotency_key): (Cause, Option<String>),
        now_ms: u64,
    ) -> io::Result<Invoice> {
        let invoice = Invoice {
            id: fresh_id("inv_")?,
            account: account.clone(),
            amount,
            fee: self.fee_on(amount),
            cause,
            status: Status::Open,
            requested: false,
            created_ms: now_ms,
            closed_ms: None,
            reference: None,
            idempotency_key,
        };
        book.invoices.push(invoice.clone());
        self.tell(book, "invoice.created", view(&invoice), now_ms)?;
        Ok(invoice)
    }

    /// Hands new invoices to the payment provider, credits those that it has paid at once, and ends
    /// payments that were begun.
    fn request_payments(&self, ledger: &Ledger, now_ms: u64) -> io::Result<()> {
        let (new, begun): (Vec<Invoice>, Vec<Invoice>) = {
            let book = self.book.lock();
            let new = |one: &&Invoice| one.status == Status::Open && !one.requested;
            let begun = |one: &&Invoice| one.status == Status::Paying;
            let invoices = &book.invoices;
            (
                invoices.iter().filter(new).cloned().collect(),
                invoices.iter().filter(begun).cloned().collect(),
            )
        };
        // The process ended, or something failed, between the credit and its note here.
        for invoice in begun {
            if let Err(error) = self.pay(ledger, &invoice.id, None, now_ms) {
                tracing::error!(invoice = invoice.id, ?error, "A payment is not booked yet.");
            }
        }
        for invoice in new {
            let requested = match self.payment.request(&invoice) {
                Ok(requested) => requested,
                Err(error) => {
                    tracing::warn!(invoice = invoice.id, %error, "A payment could not be asked for.");
                    continue;
                }
            };
            if let Requested::Paid(reference) = requested
                && let Err(error) = self.pay(ledger, &invoice.id, Some(reference), now_ms)
            {
                tracing::error!(invoice = invoice.id, ?error, "A payment is not booked yet.");
                continue;
            }
            self.change::<_, io::Error>(|book| {
                if let Some(known) = book.invoices.iter_mut().find(|one| one.id == invoice.id) {
                    known.requested = true;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Makes an invoice. Asking again with the same idempotency key gives the first one.
    ///
    /// # Errors
    /// The key was used for another invoice, too many are open, or it cannot be stored.
    pub fn invoice(&self, new: NewInvoice, now_ms: u64) -> Result<(Invoice, bool), InvoiceError> {
        self.change(|book| {
            let same = |one: &&Invoice| one.idempotency_key.as_ref() == Some(&new.idempotency_key);
            if let Some(known) = book.invoices.iter().find(same) {
                if known.account != new.account || known.amount != new.amount {
                    return Err(InvoiceError::Conflict(
                        "The idempotency key was used before, for another invoice.",
                    ));
                }
                return Ok((known.clone(), true));
            }
            let open = book.invoices.iter().filter(|one| !one.status.is_closed()).count();
            if open >= OPEN_MAX {
                return Err(InvoiceError::Conflict(
                    "Too many invoices are open; close some of them first.",
                ));
            }
            let (what, why) =
                ((&new.account, new.amount), (Cause::Asked, Some(new.idempotency_key)));
            Ok((self.invoice_for(book, what, why, now_ms)?, false))
        })
    }

    /// Books the payment of an invoice: its credit is added, once, however often this is called.
    /// Also says whether it had been paid before.
    ///
    /// # Errors
    /// There is no such invoice, it is void, or it cannot be booked now: then it is safe to try
    /// again.
    pub fn pay(
        &self,
        ledger: &Ledger,
        id: &str,
        reference: Option<String>,
        now_ms: u64,
    ) -> Result<(Invoice, bool), InvoiceError> {
        let invoice = self.begin_payment(id, reference)?;
        if invoice.status == Status::Paid {
            return Ok((invoice, true));
        }
        let (bought, method) = ((invoice.amount, invoice.fee), self.payment.method());
        match ledger.purchase(&invoice.account, bought, method, id) {
            Ok(_also_if_before) => self.end_payment(id, now_ms),
            Err(error) => {
                // A ledger that is down may have taken it all the same: then it stays as it is.
                if !matches!(error, ManageError::Down) {
                    self.change::<_, InvoiceError>(|book| {
                        let invoice = find(book, id).map(|at| &mut book.invoices[at])?;
                        // Another attempt at the same time may have succeeded.
                        if invoice.status == Status::Paying {
                            invoice.status = Status::Open;
                        }
                        Ok(())
                    })?;
                }
                Err(InvoiceError::Ledger(error))
            }
        }
    }

    /// Stores that an invoice's credit is about to be added, so that nobody closes it otherwise
    /// whatever happens in between. One that is paid already stays as it is.
    fn begin_payment(&self, id: &str, reference: Option<String>) -> Result<Invoice, InvoiceError> {
        self.change(|book| {
            let at = find(book, id)?;
            let invoice = &mut book.invoices[at];
            match invoice.status {
                Status::Void => return Err(InvoiceError::Conflict("The invoice is void.")),
                Status::Open => (invoice.status, invoice.reference) = (Status::Paying, reference),
                Status::Paying | Status::Paid => {}
            }
            Ok(invoice.clone())
        })
    }

    /// Stores that an invoice's credit was added. Also says whether that had been stored before.
    fn end_payment(&self, id: &str, now_ms: u64) -> Result<(Invoice, bool), InvoiceError> {
        self.change(|book| {
            let at = find(book, id)?;
            let invoice = &mut book.invoices[at];
            if invoice.status == Status::Paid {
                return Ok((invoice.clone(), true));
            }
            (invoice.status, invoice.closed_ms) = (Status::Paid, Some(now_ms));
            let paid = invoice.clone();
            if paid.cause == Cause::AutoTopUp {
                book.told.topped_up(paid.account.as_str());
            }
            self.tell(book, "invoice.paid", view(&paid), now_ms)?;
            trim(book);
            Ok((paid, false))
        })
    }

    /// Closes an invoice that nobody will pay. Also says whether it had been closed before.
    ///
    /// # Errors
    /// There is no such invoice, it is paid, or it cannot be stored.
    pub fn void(&self, id: &str, now_ms: u64) -> Result<(Invoice, bool), InvoiceError> {
        self.change(|book| {
            let at = find(book, id)?;
            let invoice = &mut book.invoices[at];
            match invoice.status {
                Status::Void => return Ok((invoice.clone(), true)),
                Status::Paying | Status::Paid => {
                    return Err(InvoiceError::Conflict("The invoice is paid."));
                }
                Status::Open => {}
            }
            (invoice.status, invoice.closed_ms) = (Status::Void, Some(now_ms));
            let void = invoice.clone();
            self.tell(book, "invoice.void", view(&void), now_ms)?;
            trim(book);
            Ok((void, false))
        })
    }

    /// Every invoice that is kept, oldest first.
    pub fn invoices(&self) -> Vec<Invoice> {
        self.book.lock().invoices.clone()
    }

    /// The events that were not delivered yet, oldest first.
    pub fn waiting(&self) -> Vec<Event> {
        self.book.lock().outbox.events().to_vec()
    }

    /// The events that are to be sent now, at most so many.
    pub fn due(&self, now_ms: u64, most: usize) -> Vec<Event> {
        self.book.lock().outbox.due(now_ms, most)
    }

    /// Notes how attempts to deliver went: by event id, `Err` with why it failed. `random` spreads
    /// the next attempts.
    ///
    /// # Errors
    /// It cannot be stored: the events are sent again, under the same ids.
    pub fn sent(
        &self,
        outcomes: Vec<(String, Result<(), String>)>,
        now_ms: u64,
        random: u64,
    ) -> io::Result<()> {
        self.change::<_, io::Error>(|book| {
            for (id, outcome) in outcomes {
                let Err(why) = outcome else {
                    book.outbox.delivered(&id);
                    continue;
                };
                tracing::warn!(event_id = id, why, "A webhook was not delivered.");
                if book.outbox.failed(&id, why, now_ms, random).is_some() {
                    tracing::error!(event_id = id, "A webhook is given up.");
                }
            }
            Ok(())
        })
    }
}

fn find(book: &Book, id: &str) -> Result<usize, InvoiceError> {
    book.invoices.iter().position(|one| one.id == id).ok_or(InvoiceError::Unknown)
}

/// Forgets the oldest closed invoices where there are too many.
fn trim(book: &mut Book) {
    let closed = book.invoices.iter().filter(|one| one.status.is_closed()).count();
    let mut surplus = closed.saturating_sub(CLOSED_MAX);
    book.invoices.retain(|one| {
        let goes = surplus > 0 && one.status.is_closed();
        surplus -= usize::from(goes);
        !goes
    });
}

fn fresh_id(prefix: &str) -> io::Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|why| io::Error::other(why.to_string()))?;
    Ok(format!("{prefix}{:032x}", u128::from_be_bytes(random)))
}

#[cfg(test)]
mod tests;
