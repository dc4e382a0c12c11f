// What Grafana does between a panel's JSON and its drawing: queries, transformations, field options.
import { cloneDeep, defaultsDeep } from 'lodash';
import { applyFieldOverrides, cacheFieldDisplayNames, transformDataFrame } from '@grafana/data';
import { ask, query, scope } from './frames.js';
import { DEFAULTS, registry, theme } from './setup.js';

const SECONDS = { s: 1, m: 60, h: 3600, d: 86400 };

export async function load(base, panel, range, width, variables) {
  complete(panel);
  const [, count, unit] = /^(\d+)([smhd])$/.exec(panel.timeFrom ?? '') ?? [];
  const shown = count ? { from: range.to - count * SECONDS[unit], to: range.to } : range;
  const words = scope(shown, width, variables, panel.interval);
  try {
    const raw = await query(base, panel, words, shown);
    const frames = await new Promise((done) =>
      transformDataFrame(panel.transformations ?? [], raw).subscribe(done)
    );
    return { panel, range: shown, step: words.step, frames: configured(frames, panel) };
  } catch (error) {
    return { panel, range: shown, step: words.step, frames: [], error: String(error) };
  }
}

// The plugin's defaults; the lowest threshold has no value in JSON.
function complete({ type, fieldConfig }) {
  const silent = cloneDeep(DEFAULTS[type] ?? {});
  if (fieldConfig.defaults.thresholds) delete silent.thresholds;
  defaultsDeep(fieldConfig, { defaults: silent, overrides: [] });
  const others = fieldConfig.overrides.flatMap(({ properties }) => properties.map((p) => p.value));
  for (const value of [fieldConfig.defaults.thresholds, ...others])
    for (const step of value?.steps ?? []) step.value ??= -Infinity;
}

function configured(frames, panel) {
  const found = applyFieldOverrides({
    data: frames,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(found);
  return found;
}

// Annotations: the moments that the board marks in its graphs.
export async function moments(base, annotations, range, variables) {
  const found = [];
  for (const { enable, expr, iconColor, useValueForTime } of annotations) {
    if (!enable || !expr) continue;
    const { step, fill } = scope(range, 800, variables);
    const { result } = await ask(base, 'query_range', {
      query: fill(expr),
      start: range.from,
      end: range.to,
      step,
    });
    for (const { values } of result) {
      let before = -Infinity;
      for (const [at, text] of values) {
        const moment = useValueForTime ? Number(text) / 1000 : at;
        if (moment - before > (useValueForTime ? 0 : 1.5 * step))
          found.push({ at: moment, colour: iconColor });
        before = moment;
      }
    }
  }
  return found.filter(({ at }) => at >= range.from);
}
