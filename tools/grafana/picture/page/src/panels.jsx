// The panels. Those with a component in Grafana's packages are drawn by it, as its plugins use it.
import {
  FieldType,
  dateTime,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { Heat } from './heat.jsx';
import { marker } from './marks.js';
import { theme } from './setup.js';
import { Timeline } from './timeline.jsx';

export function NoData({ text }) {
  return <div className="no-data">{text ?? 'No data'}</div>;
}

// One drawing for each value.
function repeated({ panel, frames, width, height }, draw, more) {
  const values = () =>
    getFieldDisplayValues({
      fieldConfig: panel.fieldConfig,
      reduceOptions: panel.options.reduceOptions,
      replaceVariables: (text) => text,
      theme,
      data: frames,
      timeZone: 'utc',
    });
  return (
    <VizRepeater
      getValues={values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={draw}
      width={width}
      height={height}
      source={frames}
      renderCounter={0}
      orientation={panel.options.orientation}
      {...more}
    />
  );
}

function Stat(props) {
  const { wideLayout, ...options } = props.panel.options;
  const draw = ({ value, ...place }) => (
    <BigValue
      {...options}
      {...place}
      value={value.display}
      disableWideLayout={!wideLayout}
      theme={theme}
    />
  );
  return repeated(props, draw, { itemSpacing: 3, autoGrid: true });
}

function Bars(props) {
  const { valueMode, sizing, ...options } = props.panel.options;
  const draw = ({ value, ...place }) => (
    <BarGauge
      {...options}
      {...place}
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex)}
      valueDisplayMode={valueMode}
      itemSpacing={10}
      isOverflow={false}
      theme={theme}
    />
  );
  return repeated(props, draw, {
    itemSpacing: 10,
    minVizWidth: options.minVizWidth,
    minVizHeight: options.minVizHeight,
    maxVizHeight: sizing === 'auto' ? 300 : options.maxVizHeight,
  });
}

function Lines({ panel, frames, width, height, range, marks }) {
  if (!frames.length) return <NoData text={panel.fieldConfig.defaults.noValue} />;
  const [from, to] = [dateTime(range.from * 1000), dateTime(range.to * 1000)];
  return (
    <TimeSeries
      frames={finite(frames)}
      structureRev={1}
      timeRange={{ from, to, raw: { from, to } }}
      timeZone="utc"
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    >
      {marker(marks)}
    </TimeSeries>
  );
}

// What is not finite is a gap.
function finite(frames) {
  const number = (value) => (Number.isFinite(value) ? value : null);
  const fields = (all) =>
    all.map((f) => (f.type === FieldType.number ? { ...f, values: f.values.map(number) } : f));
  return frames.map((frame) => ({ ...frame, fields: fields(frame.fields) }));
}

function Table({ panel, frames, width, height }) {
  if (!frames[0]?.length) return <NoData text={panel.fieldConfig.defaults.noValue} />;
  return (
    <TableNG
      data={frames[0]}
      width={width}
      height={height}
      initialSortBy={panel.options.sortBy}
      noHeader={!panel.options.showHeader}
      cellHeight={panel.options.cellHeight ?? 'sm'}
      fieldConfig={panel.fieldConfig}
      enableVirtualization={false}
      structureRev={1}
      getActions={() => []}
    />
  );
}

const KINDS = {
  stat: Stat,
  bargauge: Bars,
  timeseries: Lines,
  table: Table,
  heatmap: Heat,
  'state-timeline': Timeline,
};

export function Viz(props) {
  const Kind = KINDS[props.panel.type];
  return Kind ? <Kind {...props} /> : <NoData text={`not drawn: ${props.panel.type}`} />;
}
