// What bin/compile needs of package.json, as shell assignments; `package.js resolve RANGE` reads a JSON list of
// versions and prints the newest that fits. Exit code 1 with a sentence when package.json can't be read.
const fs = require('fs');
const path = require('path');
const npm = path.dirname(path.dirname(fs.realpathSync('/usr/local/bin/npm')));
const semver = require(path.join(npm, 'node_modules/semver'));

if (process.argv[2] === 'resolve') {
  const versions = JSON.parse(fs.readFileSync(0, 'utf8'));
  console.log(semver.maxSatisfying([].concat(versions), process.argv[3]) || '');
  process.exit();
}

const read = (name) => { try { return fs.readFileSync(name, 'utf8'); } catch { return ''; } };
let pkg;
try {
  pkg = JSON.parse(read('package.json'));
} catch (error) {
  console.log(`package.json is not valid JSON: ${error.message}`);
  process.exit(1);
}
if (!pkg || typeof pkg !== 'object' || Array.isArray(pkg)) {
  console.log('package.json is not an object.');
  process.exit(1);
}
const text = (value) => (typeof value === 'string' ? value : '');
const scripts = pkg.scripts && typeof pkg.scripts === 'object' ? pkg.scripts : {};
let wanted = text(pkg.engines?.node), source = 'package.json';
for (const file of ['.node-version', '.nvmrc']) {
  if (!wanted && read(file).trim()) [wanted, source] = [read(file).trim(), file];
}
if (/^(node|lts(\/.*)?|stable|latest|current)$/.test(wanted)) wanted = '*';
const valid = !wanted || semver.validRange(wanted) !== null;
const quote = (value) => `'${String(value).replace(/'/g, `'\\''`)}'`;
const ownNpm = JSON.parse(read(path.join(npm, 'package.json'))).version;
const range = (value) => (semver.validRange(text(value)) ? text(value) : '');
const managers = Object.fromEntries(['npm', 'yarn', 'pnpm'].map((name) => [`engines_${name}`, range(pkg.engines?.[name])]));
const npmAsked = text(pkg.packageManager).startsWith('npm@') ? text(pkg.packageManager).slice(4).split('+')[0] : managers.engines_npm;
const values = {
  ...managers,
  HAVE: process.versions.node,
  NPM: ownNpm,
  wanted, source, valid: valid ? 'yes' : '',
  fits: !wanted || (valid && semver.satisfies(process.versions.node, wanted)) ? 'yes' : '',
  declared: text(pkg.packageManager),
  npm_fits: npmAsked && semver.satisfies(ownNpm, npmAsked) ? 'yes' : '',
  start: text(scripts.start) ? 'yes' : '',
  before: text(scripts['heroku-prebuild']) ? 'heroku-prebuild' : '',
  after: text(scripts['heroku-cleanup']) ? 'heroku-cleanup' : '',
  workspaces: pkg.workspaces ? 'yes' : '',
  build: ['heroku-postbuild', 'build'].find((name) => text(scripts[name])) || '',
};
for (const [name, value] of Object.entries(values)) console.log(`${name}=${quote(value)}`);
const lifecycle = ['preinstall', 'install', 'postinstall', 'prepare'].filter((name) => text(scripts[name]));
console.log(`lifecycle=(${lifecycle.map(quote).join(' ')})`);
