// A state timeline of our own: Grafana's is in no package.
import { formattedValueToString, getFieldDisplayName } from '@grafana/data';
import { Canvas, timeAxis } from './canvas.jsx';
import { theme } from './setup.js';

const RIGHT = 8;
const BELOW = 48; // for the times and the legend

export function Timeline({ panel, frames, width, height, range, step }) {
  const names = frames.map((frame) => getFieldDisplayName(frame.fields[1], frame, frames));
  const seen = new Map();
  const draw = (ctx) => {
    const left = Math.max(...names.map((name) => ctx.measureText(name).width)) + 16;
    const [right, bottom] = [width - RIGHT, height - BELOW];
    const high = bottom / frames.length;
    const tall = high * panel.options.rowHeight;
    const place = (at) =>
      left + ((at / 1000 - range.from) / (range.to - range.from)) * (right - left);
    frames.forEach(({ fields: [time, value] }, row) => {
      const y = row * high + (high - tall) / 2;
      for (const [from, to, what] of runs(time.values, value.values, step * 1000)) {
        const shown = value.display(what);
        const word = formattedValueToString(shown);
        seen.set(word, shown.color);
        const [x, end] = [place(from), Math.min(place(to), right)];
        ctx.globalAlpha = panel.fieldConfig.defaults.custom.fillOpacity / 100;
        ctx.fillStyle = shown.color;
        ctx.fillRect(x, y, end - x - 0.5, tall);
        ctx.globalAlpha = 1;
        if (tall < 13 || ctx.measureText(word).width + 8 > end - x) continue;
        ctx.fillStyle = theme.colors.getContrastText(shown.color);
        ctx.textAlign = 'center';
        ctx.fillText(word, (x + end) / 2, y + tall / 2);
      }
      if (row % Math.ceil(13 / high)) return;
      ctx.fillStyle = theme.colors.text.primary;
      ctx.textAlign = 'right';
      ctx.fillText(names[row], left - 8, y + tall / 2);
    });
    timeAxis(ctx, range, left, right, bottom + 12);
    legend(ctx, [...seen].sort(), left, height - 11);
  };
  if (!frames.length) return null;
  return <Canvas width={width} height={height} draw={draw} />;
}

// [from, to, value] of equal neighbours without a gap between them.
function runs(times, values, step) {
  const found = [];
  times.forEach((at, i) => {
    const last = found.at(-1);
    if (last && last[2] === values[i] && at - last[1] <= step / 2) last[1] = at + step;
    else found.push([at, at + step, values[i]]);
  });
  return found;
}

function legend(ctx, words, left, y) {
  let x = left;
  ctx.textAlign = 'left';
  for (const [word, colour] of words) {
    ctx.fillStyle = colour;
    ctx.fillRect(x, y - 2, 14, 4);
    ctx.fillStyle = theme.colors.text.primary;
    ctx.fillText(word, x + 20, y);
    x += ctx.measureText(word).width + 36;
  }
}
