//! What the server does in one step. Each script bounds its work by its arguments.

use forebay_redis::script::Script;

macro_rules! scripts {
    ($($name:ident)*) => {
        /// Every script, by name.
        #[derive(Debug)]
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)*
        }

        impl Default for Scripts {
            fn default() -> Scripts {
                Scripts {
                    $($name: Script::new(include_str!(concat!("lua/", stringify!($name), ".lua"))),)*
                }
            }
        }
    };
}

scripts!(turn push unlock keep recover due promote take clear remove settle unpark lead note beat);
