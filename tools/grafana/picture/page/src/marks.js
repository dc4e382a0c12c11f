// Annotations, drawn into a graph of Grafana's.
export function marker(marks) {
  return (builder) => {
    builder.addHook('draw', (plot) => {
      const { left, top, width, height } = plot.bbox;
      const bottom = top + height;
      for (const { at, colour } of marks) {
        const x = Math.round(plot.valToPos(at * 1000, 'x', true));
        if (x < left || x > left + width) continue;
        const { ctx } = plot;
        ctx.save();
        ctx.strokeStyle = ctx.fillStyle = colour;
        ctx.lineWidth = 2;
        ctx.setLineDash([5, 5]);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, bottom);
        ctx.stroke();
        ctx.beginPath();
        ctx.moveTo(x - 5, bottom + 6);
        ctx.lineTo(x + 5, bottom + 6);
        ctx.lineTo(x, bottom);
        ctx.fill();
        ctx.restore();
      }
    });
    return null;
  };
}
