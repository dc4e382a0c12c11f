// One file of the page and of Grafana's packages. What only a server needs is left out.
import fs from 'node:fs';
import { build } from 'esbuild';

const leaveOut = {
  name: 'leave out',
  setup(b) {
    b.onResolve({ filter: /^(tty|util|stream)$/ }, ({ path }) => ({ path, namespace: 'nothing' }));
    b.onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'module.exports = {}' }));
    // It wants version 5 of the router, which nothing here uses.
    b.onLoad({ filter: /react-router-dom-v5-compat\/dist\/index\.js$/ }, ({ path }) => ({
      contents: `${fs.readFileSync(path, 'utf8').replace('Route$1, useHistory }', 'Route$1 }')}
        const useHistory = () => ({});`,
    }));
  },
};

await build({
  entryPoints: ['src/app.jsx'],
  outfile: 'dist/app.js',
  bundle: true,
  format: 'esm',
  jsx: 'automatic',
  define: { global: 'window', 'process.env': '{}', 'process.env.NODE_ENV': '"production"' },
  loader: { '.svg': 'text', '.ttf': 'empty' },
  mainFields: ['browser', 'module', 'main'],
  conditions: ['browser', 'import', 'module'],
  plugins: [leaveOut],
  logLevel: 'error',
});
