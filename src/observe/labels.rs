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
    /// How an attempt at an endpoint ended.
    Outcome {
        /// A whole good answer.
        Ok = "ok",
        /// The provider could not be resolved.
        Dns = "dns",
        /// The connection was refused or reset before the request was sent.
        Connect = "connect",
        /// The connection was not made in time.
        ConnectTimeout = "connect_timeout",
        /// TLS failed.
        Tls = "tls",
        /// No first token in time.
        FirstTokenTimeout = "first_token_timeout",
        /// The stream paused for too long.
        StallTimeout = "stall_timeout",
        /// The whole answer took too long.
        AnswerTimeout = "answer_timeout",
        /// The provider's 400 or 422.
        BadRequest = "bad_request",
        /// The provider's 401 or 403: our credential.
        Credential = "credential",
        /// The provider's 402: our account there.
        Billing = "billing",
        /// The provider's 404.
        NotFound = "not_found",
        /// The provider's 408 or 409.
        Conflict = "conflict",
        /// The provider's 429.
        RateLimited = "rate_limited",
        /// The provider's 503 or 529.
        Overloaded = "overloaded",
        /// Another 5xx of the provider.
        ServerError = "server_error",
        /// The prompt does not fit the model.
        ContextLength = "context_length",
        /// The provider's content policy refuses the prompt.
        ContentPolicy = "content_policy",
        /// An error inside a 200 answer.
        InBand = "in_band",
        /// A 200 answer without content.
        Empty = "empty",
        /// The answer ended early.
        Truncated = "truncated",
        /// The answer is not what the dialect allows, or too large.
        Garbled = "garbled",
        /// The client left first.
        Cancelled = "cancelled",
        /// Another attempt won.
        Superseded = "superseded",
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
                let texts: HashSet<_> = $name::ALL.iter().map(|v| v.as_str()).collect();
                assert_eq!(texts.len(), $name::COUNT, "{}", stringify!($name));
                for (i, value) in $name::ALL.iter().enumerate() {
                    assert_eq!(value.index(), i, "{value:?}");
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
