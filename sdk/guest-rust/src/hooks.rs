//! The hooks as generated, each in a world of one: worlds that share a hook cannot stand in one crate.

/// Before the prompt reaches the model.
pub mod request {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package realm:guest;
            world only-request {
                export realm:tenant/request-hook@0.1.0;
            }
        ",
        pub_export_macro: true,
        default_bindings_module: "realm_guest::hooks::request",
        additional_derives: [PartialEq],
        with: { "realm:tenant/types@0.1.0": crate::capabilities::realm::tenant::types },
    });
    pub use exports::realm::tenant::request_hook as interface;
}

/// While the answer is made.
pub mod tokens {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package realm:guest;
            world only-tokens {
                export realm:tenant/token-hook@0.1.0;
            }
        ",
        pub_export_macro: true,
        default_bindings_module: "realm_guest::hooks::tokens",
        additional_derives: [PartialEq],
        with: { "realm:tenant/types@0.1.0": crate::capabilities::realm::tenant::types },
    });
    pub use exports::realm::tenant::token_hook as interface;
}

/// Before a token is chosen.
pub mod logits {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package realm:guest;
            world only-logits {
                export realm:tenant/logit-hook@0.1.0;
            }
        ",
        pub_export_macro: true,
        default_bindings_module: "realm_guest::hooks::logits",
        additional_derives: [PartialEq],
        with: { "realm:tenant/types@0.1.0": crate::capabilities::realm::tenant::types },
    });
    pub use exports::realm::tenant::logit_hook as interface;
}

/// When the answer is whole.
pub mod response {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package realm:guest;
            world only-response {
                export realm:tenant/response-hook@0.1.0;
            }
        ",
        pub_export_macro: true,
        default_bindings_module: "realm_guest::hooks::response",
        additional_derives: [PartialEq],
        with: { "realm:tenant/types@0.1.0": crate::capabilities::realm::tenant::types },
    });
    pub use exports::realm::tenant::response_hook as interface;
}

/// A program that drives generation itself.
pub mod agent {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package realm:guest;
            world only-agent {
                export realm:tenant/agent@0.1.0;
            }
        ",
        pub_export_macro: true,
        default_bindings_module: "realm_guest::hooks::agent",
        additional_derives: [PartialEq],
        with: { "realm:tenant/types@0.1.0": crate::capabilities::realm::tenant::types },
    });
    pub use exports::realm::tenant::agent as interface;
}
