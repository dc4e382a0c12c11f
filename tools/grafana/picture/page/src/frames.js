// What Grafana's Prometheus data source makes of an answer: data frames.
import { FieldType, dateTime, rangeUtil, toDataFrame } from '@grafana/data';

const EVERY_SECONDS = 10; // timeInterval of the provisioned data source

export async function ask(base, path, parameters) {
  const answer = await fetch(`${base}/api/v1/${path}`, {
    method: 'POST',
    body: new URLSearchParams(parameters),
  });
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(body.error);
  return body.data;
}

// The variables of a time and a panel's width; ``least``: the shortest step that it wants.
export function scope(range, width, variables, least = `${EVERY_SECONDS}s`) {
  const seconds = range.to - range.from;
  const [from, to] = [dateTime(range.from * 1000), dateTime(range.to * 1000)];
  const step = rangeUtil.calculateInterval({ from, to }, width, least).intervalMs / 1000;
  const words = {
    __rate_interval: `${Math.max(step + EVERY_SECONDS, 4 * EVERY_SECONDS)}s`,
    __interval: `${step}s`,
    __range: `${seconds}s`,
    __range_s: String(seconds),
    ...variables,
  };
  const fill = (text) =>
    text.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (all, a, b) => words[a ?? b] ?? all);
  return { step, fill };
}

const legend = (format, labels) =>
  format ? format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name) => labels[name] ?? '') : null;

function automatic(labels, expr) {
  const { __name__: name = '', ...others } = labels;
  const pairs = Object.entries(others).map(([k, v]) => `${k}="${v}"`);
  return name || pairs.length ? `${name}{${pairs.join(', ')}}` : expr;
}

export async function query(base, panel, { step, fill }, range) {
  const tables = panel.targets.filter((t) => t.format === 'table').length;
  const answers = panel.targets.map(async (target) => {
    const expr = fill(target.expr);
    const data = target.instant
      ? await ask(base, 'query', { query: expr, time: range.to })
      : await ask(base, 'query_range', {
          query: expr,
          start: Math.ceil(range.from / step) * step,
          end: Math.floor(range.to / step) * step,
          step,
        });
    if (target.format === 'table') return [table(data, target, tables)];
    const frames = data.result.map((series) => line(series, target, expr, step));
    return target.format === 'heatmap' ? buckets(frames) : frames;
  });
  return (await Promise.all(answers)).flat();
}

function line(series, target, expr, step) {
  const points = series.values ?? [series.value];
  const labels = { ...series.metric };
  const name = legend(target.legendFormat, labels) ?? automatic(labels, expr);
  const value = (text) => (text === 'NaN' ? NaN : Number(text.replace('Inf', 'Infinity')));
  return toDataFrame({
    refId: target.refId,
    name,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        config: { interval: step * 1000 },
        values: points.map(([at]) => at * 1000),
      },
      {
        name: 'Value',
        type: FieldType.number,
        labels,
        config: { displayNameFromDS: name },
        values: points.map(([, text]) => value(text)),
      },
    ],
  });
}

function table(data, target, tables) {
  const labels = [...new Set(data.result.flatMap((row) => Object.keys(row.metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: data.result.map((r) => r.value[0] * 1000) },
      ...labels.map((name) => ({
        name,
        type: FieldType.string,
        config: { filterable: true },
        values: data.result.map((r) => r.metric[name] ?? ''),
      })),
      {
        name: tables > 1 ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: data.result.map((r) => Number(r.value[1])),
      },
    ],
  });
}

// From "le" counts to counts of each bucket.
function buckets(frames) {
  const edge = (frame) => Number((frame.fields[1].labels.le ?? '').replace('Inf', 'Infinity'));
  const sorted = [...frames].sort((a, b) => edge(a) - edge(b));
  return sorted
    .map((frame, i) => {
      const below = new Map();
      if (i > 0) {
        const [time, value] = sorted[i - 1].fields;
        time.values.forEach((at, k) => below.set(at, value.values[k]));
      }
      const [time, value] = frame.fields;
      const values = value.values.map((v, k) => Math.max(0, v - (below.get(time.values[k]) ?? 0)));
      return { ...frame, fields: [time, { ...value, values }], edge: edge(frame) };
    });
}
