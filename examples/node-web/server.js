// A small web application: it tells who answers, and from which release.
const os = require('node:os');
const server = require('fastify')();

const facts = () => ({
  version: '1',
  greeting: process.env.GREETING || 'Hello',
  app: process.env.DEIS_APP || 'local',
  release: process.env.WORKFLOW_RELEASE || 'none',
  host: os.hostname(),
});

server.get('/', async () => facts());
server.get('/healthz', async () => 'ok');

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => server.close().then(() => process.exit(0)));
}
server.listen({ port: Number(process.env.PORT || 5000), host: '0.0.0.0' }).then((address) => console.log(`listening on ${address}`));
