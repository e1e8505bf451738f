//! Every plugin that is compiled in: one line each.

use turnpike_plugin_api::Definition;

/// Those that there are, in the order of their names.
pub const ALL: &[Definition] = &[
    #[cfg(feature = "plugin-context-compression")]
    turnpike_plugin_context_compression::DEFINITION,
    #[cfg(feature = "plugin-example-stamp")]
    turnpike_plugin_example_stamp::DEFINITION,
    #[cfg(feature = "plugin-header-rules")]
    turnpike_plugin_header_rules::DEFINITION,
    #[cfg(feature = "plugin-moderation")]
    turnpike_plugin_moderation::DEFINITION,
    #[cfg(feature = "plugin-redact")]
    turnpike_plugin_redact::DEFINITION,
    #[cfg(feature = "plugin-response-healing")]
    turnpike_plugin_response_healing::DEFINITION,
    #[cfg(feature = "plugin-web")]
    turnpike_plugin_web::DEFINITION,
];

/// The plugin of this name.
pub fn find(id: &str) -> Option<&'static Definition> {
    ALL.iter().find(|definition| definition.id == id)
}
