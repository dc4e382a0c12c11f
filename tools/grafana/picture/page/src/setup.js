// What the application around Grafana's packages sets: theme, transformations, field options.
import {
  FieldConfigOptionsRegistry,
  createTheme,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
} from '@grafana/data';

export const theme = createTheme({ colors: { mode: 'dark' } });

const transformers = new Map(Object.values(standardTransformers).map((t) => [t.id, t]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((t) => ({ id: t.id, name: t.name, transformation: t }))
);

const option = (path, isCustom = false) => ({
  id: isCustom ? `custom.${path}` : path,
  path,
  name: path,
  isCustom,
  process: (value) => value,
  shouldApply: () => true,
});

const STANDARD = [
  ...['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'color', 'thresholds'],
  ...['mappings', 'links', 'filterable'],
].map((id) => option(id));
const CUSTOM = [
  ...['drawStyle', 'lineInterpolation', 'lineWidth', 'lineStyle', 'fillOpacity', 'gradientMode'],
  ...['pointSize', 'showPoints', 'stacking', 'spanNulls', 'thresholdsStyle', 'hideFrom'],
  ...['barAlignment', 'barWidthFactor', 'fillBelowTo', 'scaleDistribution', 'transform'],
  ...['axisPlacement', 'axisSoftMin', 'axisSoftMax', 'axisLabel', 'axisWidth', 'axisColorMode'],
  ...['axisBorderShow', 'axisCenteredZero', 'axisGridShow'],
  ...['align', 'inspect', 'cellOptions', 'width', 'minWidth', 'hidden', 'wrapHeaderText'],
].map((id) => option(id, true));
standardFieldConfigEditorRegistry.setInit(() => STANDARD);
export const registry = new FieldConfigOptionsRegistry(() => [...STANDARD, ...CUSTOM]);

const thresholds = {
  mode: 'absolute',
  steps: [
    { value: null, color: 'green' },
    { value: 80, color: 'red' },
  ],
};
const byThresholds = { color: { mode: 'thresholds' }, thresholds };

// What each panel's plugin sets where the JSON is silent.
export const DEFAULTS = {
  stat: byThresholds,
  bargauge: byThresholds,
  table: {
    ...byThresholds,
    custom: { align: 'auto', inspect: false, cellOptions: { type: 'auto' } },
  },
  timeseries: {
    color: { mode: 'palette-classic' },
    thresholds,
    custom: {
      drawStyle: 'line',
      lineInterpolation: 'linear',
      lineWidth: 1,
      fillOpacity: 0,
      gradientMode: 'none',
      pointSize: 5,
      showPoints: 'auto',
      spanNulls: false,
      stacking: { mode: 'none', group: 'A' },
      barAlignment: 0,
      scaleDistribution: { type: 'linear' },
      axisPlacement: 'auto',
      axisColorMode: 'text',
      axisBorderShow: false,
      axisCenteredZero: false,
      hideFrom: { tooltip: false, viz: false, legend: false },
      thresholdsStyle: { mode: 'off' },
    },
  },
  'state-timeline': { color: { mode: 'continuous-GrYlRd' }, custom: { fillOpacity: 70 } },
};
