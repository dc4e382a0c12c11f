// A board: its panels at their places, over the time that the page's address names.
import { createRoot } from 'react-dom/client';
import { ThemeContext } from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { load, moments } from './load.js';
import { NoData, Viz } from './panels.jsx';
import { theme } from './setup.js';

const COLUMNS = 24;
const ROW = 30;
const GAP = 8;
const AROUND = 16;
const HEAD = 48;

const parameters = new URLSearchParams(location.search);
const end = Number(parameters.get('end'));
const range = { from: end - Number(parameters.get('minutes')) * 60, to: end };
const column = (Number(parameters.get('width')) - 2 * AROUND + GAP) / COLUMNS;

const place = ({ x, y, w, h }) => ({
  left: Math.round(x * column),
  top: y * (ROW + GAP),
  width: Math.round(w * column) - GAP,
  height: h * (ROW + GAP) - GAP,
});

function Panel({ loaded, marks }) {
  const { panel, error } = loaded;
  const box = place(panel.gridPos);
  return (
    <div style={box}>
      <PanelChrome
        width={box.width}
        height={box.height}
        title={panel.title}
        description={panel.description}
        titleItems={panel.timeFrom && <span className="time-from">Last {panel.timeFrom}</span>}
      >
        {(width, height) =>
          error ? (
            <NoData text={error} />
          ) : (
            <Viz {...loaded} marks={marks} width={width} height={height} />
          )
        }
      </PanelChrome>
    </div>
  );
}

const clock = (at) => new Date(at * 1000).toISOString().slice(11, 16);

function Board({ board, loaded, marks, height }) {
  return (
    <div className="board">
      <div className="head">
        <span className="title">{board.title}</span>
        {board.templating.list
          .filter(({ type }) => type !== 'datasource')
          .map(({ name, label }) => (
            <span className="choice" key={name}>
              <span>{label}</span>
              <span>All</span>
            </span>
          ))}
        <span className="choice last">
          <span>
            {clock(range.from)} to {clock(range.to)} UTC
          </span>
        </span>
      </div>
      <div className="panels" style={{ height }}>
        {board.panels
          .filter(({ type }) => type === 'row')
          .map((row) => (
            <div className="heading" key={row.id} style={place(row.gridPos)}>
              {row.title}
            </div>
          ))}
        {loaded.map((one) => (
          <Panel key={one.panel.id} loaded={one} marks={marks} />
        ))}
      </div>
    </div>
  );
}

async function main() {
  const base = parameters.get('prometheus');
  const board = await (await fetch(`/boards/${parameters.get('board')}.json`)).json();
  const all = Object.fromEntries(board.templating.list.map((v) => [v.name, v.allValue ?? '.+']));
  const panels = board.panels.filter(({ type }) => type !== 'row');
  const loaded = await Promise.all(
    panels.map((panel) => load(base, panel, range, place(panel.gridPos).width, all))
  );
  const marks = await moments(base, board.annotations.list, range, all);
  const bottom = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const height = bottom * (ROW + GAP) - GAP;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Board board={board} loaded={loaded} marks={marks} height={height} />
    </ThemeContext.Provider>
  );
  const titles = (of) => loaded.filter(of).map(({ panel, error = '' }) => `${panel.title} ${error}`);
  window.drawn = {
    height: HEAD + height + AROUND,
    problems: titles(({ error }) => error),
    empty: titles(({ error, frames }) => !error && !frames.some(({ length }) => length)),
  };
}

main();
