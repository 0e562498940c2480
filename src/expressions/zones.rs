//! Instants and local times: columns of TIMESTAMP_LTZ and TIMESTAMP in a time zone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::datatypes::{DataType, Int64Type};

use super::instant::ticks;
use super::types::digits;
use crate::error::Result;
use crate::stream::{Offsets, Twice, Zone};

/// What a clock of the zone shows at these instants: `TIMESTAMP_LTZ(p)` becomes `TIMESTAMP(p)`, anything else stays.
pub fn local(values: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, Some(_)) = values.data_type() else { return Ok(Arc::clone(values)) };
    let as_local = DataType::Timestamp(*unit, None);
    let (ticks, per_second) = ticks(values)?;
    moved(&ticks, zone, &as_local, |offsets, tick| {
        tick.wrapping_add(offsets.of_instant(tick.div_euclid(per_second)).wrapping_mul(per_second))
    })
}

/// The instants at which a clock of the zone shows these times, the earlier of two: `TIMESTAMP(p)` becomes
/// `TIMESTAMP_LTZ(p)`, anything else stays.
pub fn instants(values: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, None) = values.data_type() else { return Ok(Arc::clone(values)) };
    let as_instants = DataType::Timestamp(*unit, Some("UTC".into()));
    let (ticks, per_second) = ticks(values)?;
    moved(&ticks, zone, &as_instants, |offsets, tick| instant(offsets, tick, per_second))
}

/// The instants of local times that were made of those of `from`, in the same type: where the offset of the original still
/// holds, it does; so a time within an hour that is shown twice stays in it.
pub fn instants_near(values: &ArrayRef, from: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, Some(_)) = from.data_type() else { return Ok(Arc::clone(values)) };
    let per_second = 10_i64.pow(u32::from(digits(*unit)));
    let (locals, originals) = (ticks(values)?.0, ticks(from)?.0);
    let mut offsets = zone.offsets();
    let near = |(local, original): (Option<i64>, Option<i64>)| {
        let (local, original) = (local?, original?);
        let offset = offsets.of_instant(original.div_euclid(per_second));
        let near = local.wrapping_sub(offset.wrapping_mul(per_second));
        Some(match offsets.of_instant(near.div_euclid(per_second)) == offset {
            true => near,
            false => instant(&mut offsets, local, per_second),
        })
    };
    let near: PrimitiveArray<Int64Type> = locals.iter().zip(&originals).map(near).collect();
    Ok(arrow::compute::cast(&near, from.data_type())?)
}

fn instant(offsets: &mut Offsets, tick: i64, per_second: i64) -> i64 {
    tick.wrapping_sub(offsets.of_local(tick.div_euclid(per_second), Twice::Earlier).wrapping_mul(per_second))
}

fn moved(
    ticks: &PrimitiveArray<Int64Type>,
    zone: Zone,
    to: &DataType,
    mut by: impl FnMut(&mut Offsets, i64) -> i64,
) -> Result<ArrayRef> {
    if zone.is_utc() {
        return Ok(arrow::compute::cast(ticks, to)?);
    }
    let mut offsets = zone.offsets();
    // A NULL's bits are no time.
    let moved: PrimitiveArray<Int64Type> = match ticks.null_count() {
        0 => ticks.values().iter().map(|tick| by(&mut offsets, *tick)).collect::<Vec<_>>().into(),
        _ => ticks.iter().map(|tick| tick.map(|tick| by(&mut offsets, tick))).collect(),
    };
    Ok(arrow::compute::cast(&moved, to)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, TimestampMillisecondArray};
    use arrow::datatypes::TimestampMillisecondType;

    fn millis(values: &ArrayRef) -> Vec<Option<i64>> {
        values.as_primitive::<TimestampMillisecondType>().iter().collect()
    }

    #[test]
    fn local_times_come_from_instants_and_go_back() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        // 2024-10-27 00:30 and 01:30 UTC: 02:30 twice.
        let twice = [1_729_989_000_000, 1_729_992_600_000];
        let values: ArrayRef =
            Arc::new(TimestampMillisecondArray::from(vec![Some(twice[0]), None, Some(twice[1])]).with_timezone("UTC"));
        let shown = local(&values, berlin).unwrap();
        let half_past_two = twice[0] + 7_200_000;
        assert_eq!(millis(&shown), [Some(half_past_two), None, Some(half_past_two)]);
        assert_eq!(millis(&instants(&shown, berlin).unwrap()), [Some(twice[0]), None, Some(twice[0])]);
        let near = instants_near(&shown, &values, berlin).unwrap();
        assert_eq!((millis(&near), near.data_type()), (vec![Some(twice[0]), None, Some(twice[1])], values.data_type()));
        let utc = local(&values, Zone::UTC).unwrap();
        assert_eq!(millis(&utc), millis(&values));
        assert_eq!(utc.data_type(), shown.data_type());
    }
}
