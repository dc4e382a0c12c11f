// What the two drawings of our own share.
import { useEffect, useRef } from 'react';
import { theme } from './setup.js';

export function Canvas({ width, height, draw }) {
  const ref = useRef(null);
  useEffect(() => {
    Object.assign(ref.current, { width, height });
    const ctx = ref.current.getContext('2d');
    ctx.font = `12px ${theme.typography.fontFamily}`;
    ctx.textBaseline = 'middle';
    draw(ctx);
  });
  return <canvas ref={ref} />;
}

// Whole minutes below a drawing, between two x.
export function timeAxis(ctx, range, left, right, y) {
  const seconds = range.to - range.from;
  const room = (right - left) / 70;
  const step = [60, 120, 300, 600, 900, 1800, 3600].find((s) => seconds / s < room) ?? 7200;
  ctx.fillStyle = theme.colors.text.primary;
  ctx.textAlign = 'center';
  for (let at = Math.ceil(range.from / step) * step; at <= range.to; at += step) {
    const x = left + ((at - range.from) / seconds) * (right - left);
    ctx.fillText(new Date(at * 1000).toISOString().slice(11, 16), x, y);
  }
}
