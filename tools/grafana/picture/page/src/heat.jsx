// A heat map of our own: Grafana's is in no package.
import { interpolateBlues } from 'd3-scale-chromatic';
import { formattedValueToString, getValueFormat } from '@grafana/data';
import { Canvas, timeAxis } from './canvas.jsx';
import { theme } from './setup.js';

const RIGHT = 8;
const BELOW = 50; // for the times and the scale

export function Heat({ panel, frames, width, height, range, step }) {
  const format = getValueFormat(panel.options.yAxis?.unit ?? panel.fieldConfig.defaults.unit);
  const labels = frames.map(({ edge }) =>
    edge === Infinity ? '+Inf' : formattedValueToString(format(edge))
  );
  const most = Math.max(...frames.flatMap(({ fields }) => fields[1].values));
  const draw = (ctx) => {
    const left = Math.max(...labels.map((label) => ctx.measureText(label).width)) + 12;
    const [right, bottom] = [width - RIGHT, height - BELOW];
    const high = (bottom - 8) / frames.length;
    const place = (at) => left + ((at - range.from) / (range.to - range.from)) * (right - left);
    frames.forEach(({ fields: [time, value] }, row) => {
      time.values.forEach((at, i) => {
        if (!(value.values[i] > 1e-9)) return;
        const from = Math.max(left, place(at / 1000 - step));
        const to = Math.min(right, place(at / 1000));
        ctx.fillStyle = interpolateBlues(1 - value.values[i] / most);
        ctx.fillRect(from, bottom - (row + 1) * high, to - from - 1, high - 1);
      });
    });
    ctx.fillStyle = theme.colors.text.primary;
    ctx.textAlign = 'right';
    const every = Math.ceil(16 / high);
    labels.forEach((label, row) => {
      if (row % every === 0) ctx.fillText(label, left - 6, bottom - (row + 1) * high);
    });
    timeAxis(ctx, range, left, right, bottom + 14);
    scale(ctx, left, Math.min(220, width / 2), height, most);
  };
  return <Canvas width={width} height={height} draw={draw} />;
}

function scale(ctx, left, long, height, most) {
  for (let i = 0; i < long; i++) {
    ctx.fillStyle = interpolateBlues(1 - i / long);
    ctx.fillRect(left + i, height - 22, 1.5, 8);
  }
  ctx.fillStyle = theme.colors.text.secondary;
  ctx.textAlign = 'left';
  ctx.fillText('0', left, height - 6);
  ctx.textAlign = 'right';
  ctx.fillText(most.toFixed(0), left + long, height - 6);
}
