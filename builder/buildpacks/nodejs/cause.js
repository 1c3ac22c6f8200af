// One line that says why an installation failed, from its log on standard input.
const log = require('fs').readFileSync(0, 'utf8');
const lock = process.argv[2] || 'package.json';
const rules = [
  [/npm ci.*can only install packages when your package\.json and package-lock\.json.*in sync/s, () => `${lock} doesn't match package.json. Run: npm install, commit ${lock}, and push again.`],
  [/frozen-lockfile|lockfile needs to be updated|YN0028|ERR_PNPM_OUTDATED_LOCKFILE/, () => `${lock} doesn't match package.json: install again, commit ${lock}, and push.`],
  [/(?:404 Not Found|E404|Couldn't find package)[^\n]*?["'\/ ]((?:@[\w.-]+(?:\/|%2f))?[\w.-]+)["' @-]/i, (m) => `The npm registry has no package ${m[1].replace(/%2f/i, '/')}, which package.json or ${lock} asks for.`],
  [/No matching version found for (\S+?)\.?\s/, (m) => `The npm registry has no ${m[1]}, which package.json or ${lock} asks for.`],
  [/ERESOLVE/, () => 'The dependencies in package.json contradict each other; the lines above say which.'],
  [/gyp ERR!/, () => 'A dependency could not be compiled (node-gyp); the lines above say why.'],
  [/ENOTFOUND|ETIMEDOUT|ECONNREFUSED|EAI_AGAIN|ECONNRESET/, () => "The npm registry can't be reached from builds."],
  [/self.signed certificate|unable to get local issuer/i, () => "The npm registry's certificate isn't trusted by this host."],
  [/EBADENGINE|Unsupported engine/, () => 'A dependency needs another Node.js version; the lines above say which.'],
  [/ENOSPC/, () => 'The disk is full.'],
];
const found = rules.map(([pattern, text]) => [log.match(pattern), text]).find(([match]) => match);
const last = log.trim().split('\n').filter((line) => !/A complete log of this run|^\s*$/.test(line)).pop() || 'no output';
console.log(found ? found[1](found[0]) : `Installing the dependencies of ${lock} failed: ${last.slice(0, 200)}`);
