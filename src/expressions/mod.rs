//! DataFusion's expressions as our operators call them, and the functions where Flink differs.

mod scalar;

pub use scalar::Scalar;

/// The version of the library behind them, for `--version`.
pub const DATAFUSION_VERSION: &str = datafusion::DATAFUSION_VERSION;

use crate::error::Error;

/// DataFusion's run-time failures are the data's fault, unless it says otherwise.
pub(crate) fn scalar_error(error: datafusion::error::DataFusionError) -> Error {
    use datafusion::error::DataFusionError as D;
    match error.find_root() {
        D::ArrowError(..) | D::Execution(_) => match error {
            D::ArrowError(inner, _) => (*inner).into(),
            other => Error::data(other.find_root().strip_backtrace()),
        },
        D::External(_) => match error {
            D::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => Error::data(other.to_string()),
            },
            other => Error::data(other.strip_backtrace()),
        },
        other => Error::bug(other.strip_backtrace()),
    }
}
