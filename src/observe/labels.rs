//! The values that labels can take: closed lists, in metrics and log lines alike.

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item_doc])* $item,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$item),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The text in metrics and log lines.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text,)+ }
            }

            /// The value of this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$item),)+ _ => None }
            }

            /// Its place in [`Self::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

closed_list! {
    /// What a request is for: the client's wire format, or another of our endpoints.
    Surface {
        /// `POST /v1/chat/completions`.
        Chat = "chat",
        /// `POST /v1/completions`.
        Completions = "completions",
        /// `POST /v1/responses`.
        Responses = "responses",
        /// `POST /v1/messages`.
        Messages = "messages",
        /// `POST /v1/embeddings`.
        Embeddings = "embeddings",
        /// `POST /v1/rerank`.
        Rerank = "rerank",
        /// The catalog: `GET /v1/models`.
        Models = "models",
        /// Credits, keys and generations.
        Account = "account",
        /// Anything else, unknown paths included.
        Other = "other",
    }
}

closed_list! {
    /// How a request ended.
    StatusClass {
        /// A status below 400, and the whole answer was sent.
        Ok = "2xx",
        /// The request was refused: 400–499 without 429.
        ClientError = "4xx",
        /// 429.
        RateLimited = "429",
        /// 500 and above.
        ServerError = "5xx",
        /// The status was 200, but the answer ended in an error.
        Broken = "broken",
        /// The client left first.
        Cancelled = "cancelled",
    }
}

impl StatusClass {
    /// The class of an HTTP status whose answer was sent whole.
    pub const fn of_status(status: u16) -> Self {
        match status {
            429 => Self::RateLimited,
            0..400 => Self::Ok,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

closed_list! {
    /// How an attempt at an endpoint ended, in the words of `attempt::Outcome::label`.
    Outcome {
        /// A whole good answer.
        Ok = "ok",
        /// Nobody listens there, or there is no way there.
        ConnectRefused = "connect_refused",
        /// The provider's name has no address.
        Dns = "dns",
        /// TLS failed.
        Tls = "tls",
        /// No connection in time.
        ConnectTimeout = "connect_timeout",
        /// The connection broke before the first byte of the answer.
        ConnectionReset = "connection_reset",
        /// A pooled connection turned out to be closed.
        StaleConnection = "stale_connection",
        /// No first token in time.
        FirstTokenTimeout = "first_token_timeout",
        /// The whole answer took too long.
        AnswerTimeout = "answer_timeout",
        /// The stream fell silent.
        InterEventTimeout = "inter_event_timeout",
        /// The provider says that the prompt does not fit the model.
        ContextLength = "status_context_length",
        /// The provider's content policy refuses the prompt.
        ContentPolicy = "status_content_policy",
        /// The provider says that the request is wrong in another way.
        InvalidRequest = "status_invalid_request",
        /// The provider does not accept our credential.
        Authentication = "status_authentication",
        /// Our account at the provider has no credit.
        Billing = "status_billing",
        /// Our credential may not do this.
        Permission = "status_permission",
        /// The provider does not know the model or path.
        NotFound = "status_not_found",
        /// The provider's 408.
        Timeout = "status_timeout",
        /// The provider's 409.
        Conflict = "status_conflict",
        /// The provider's 429.
        RateLimited = "status_rate_limited",
        /// The provider's 503 or 529.
        Overloaded = "status_overloaded",
        /// Another 5xx of the provider.
        Server = "status_server",
        /// An error inside a 200 answer.
        InBandError = "in_band_error",
        /// A 200 answer without content.
        EmptyAnswer = "empty_answer",
        /// The answer ended before its first token.
        EarlyEof = "early_eof",
        /// The answer is not what the dialect allows.
        Garbled = "garbled",
        /// The answer is larger than the limit.
        TooLarge = "too_large",
        /// The answer broke off after its first token.
        CutMidStream = "cut_mid_stream",
        /// The answer did not go on with another provider's.
        Diverged = "diverged",
        /// Another endpoint, asked beside this one, answered first.
        Beaten = "beaten",
        /// The client left first.
        ClientGone = "client_gone",
        /// The credit was used up.
        CreditOut = "credit_out",
        /// The gateway itself failed.
        Internal = "internal",
    }
}

closed_list! {
    /// What the response cache did for a request that uses it.
    CacheStatus {
        /// A stored answer was sent.
        Hit = "hit",
        /// There was none.
        Miss = "miss",
        /// An identical request was under way, and its answer was sent.
        Coalesced = "coalesced",
        /// The caller had the stored answer replaced.
        Cleared = "cleared",
        /// The request has no key (too deep or too complex).
        Unkeyed = "unkeyed",
    }
}

closed_list! {
    /// What became of a second attempt beside a slow first one.
    HedgeResult {
        /// It answered.
        Won = "won",
        /// The first answered before it.
        Beaten = "beaten",
        /// It failed.
        Failed = "failed",
        /// The request ended before either answered.
        Cancelled = "cancelled",
        /// It was not made: the budget was spent.
        Refused = "refused",
    }
}

closed_list! {
    /// What became of something that a plugin asked of the outside.
    CallResult {
        /// It was answered with a success.
        Ok = "ok",
        /// The answer to an earlier one was given again.
        Kept = "kept",
        /// It was answered with an error status.
        Status = "status",
        /// Nobody was reached.
        Unreachable = "unreachable",
        /// It took too long.
        Timeout = "timeout",
        /// The answer was too large.
        TooLarge = "too_large",
        /// Too many were under way.
        Busy = "busy",
        /// It was not to one of the plugin's own origins.
        Forbidden = "forbidden",
    }
}

closed_list! {
    /// Whether an endpoint is used; its [`index`](BreakerState::index) is the gauge's value.
    BreakerState {
        /// It is.
        Closed = "closed",
        /// One request is let through to see.
        HalfOpen = "half_open",
        /// It is left out.
        Open = "open",
    }
}

closed_list! {
    /// Kinds of tokens.
    TokenKind {
        /// All input.
        Prompt = "prompt",
        /// Input read from the provider's cache.
        CacheRead = "cache_read",
        /// Input written to the provider's cache.
        CacheWrite = "cache_write",
        /// All output.
        Completion = "completion",
        /// Reasoning.
        Reasoning = "reasoning",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_value_has_a_text_of_its_own_and_its_index() {
        macro_rules! check {
            ($($name:ident),+) => {$(
                assert_eq!($name::parse("none of them"), None);
                let texts: HashSet<_> = $name::ALL.iter().map(|v| v.as_str()).collect();
                assert_eq!(texts.len(), $name::COUNT, "{}", stringify!($name));
                for (i, value) in $name::ALL.iter().enumerate() {
                    assert_eq!(value.index(), i, "{value:?}");
                    assert_eq!($name::parse(value.as_str()), Some(*value), "{value:?}");
                }
            )+};
        }
        check!(Surface, StatusClass, Outcome, CacheStatus, BreakerState, TokenKind);
    }

    #[test]
    fn statuses_have_a_class() {
        for (status, class) in [
            (200, StatusClass::Ok),
            (302, StatusClass::Ok),
            (400, StatusClass::ClientError),
            (429, StatusClass::RateLimited),
            (499, StatusClass::ClientError),
            (500, StatusClass::ServerError),
            (999, StatusClass::ServerError),
        ] {
            assert_eq!(StatusClass::of_status(status), class, "{status}");
        }
    }
}
