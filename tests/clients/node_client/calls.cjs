// Every call of SparkPost's client for Node.js, unchanged. Reads {base, key, target} from standard input and
// writes one JSON object: the name of each call with its result, or with what it was rejected with.
'use strict';
const { createRequire } = require('module');
const load = createRequire(process.argv[2] + '/');
const SparkPost = load('sparkpost');

const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const client = new SparkPost(asked.key, { origin: asked.base });
const told = {};

async function call(name, make) {
  try {
    told[name] = { result: (await make()) ?? null };
  } catch (error) {
    told[name] = { error: String(error.message || error), status: error.statusCode, errors: error.errors };
  }
  return told[name].result;
}

async function all() {
  await call('transmissions.send', () => client.transmissions.send({
    campaign_id: 'node letter',
    options: { click_tracking: false },
    metadata: { from: 'node' },
    content: { from: { name: 'Nöde', email: 'node@sender.test' }, subject: 'Hi {{name}}', html: '<p>{{name}}</p>' },
    substitution_data: { name: 'You' },
    recipients: [{ address: 'To Name <node.to@rcpt.test>' }],
    cc: [{ address: '"Cc Name" <node.cc@rcpt.test>' }],
    bcc: [{ address: 'node.bcc@rcpt.test' }],
  }, { num_rcpt_errors: 3 }));
  await call('transmissions.send (template)', () => client.transmissions.send({
    content: { template_id: 'letter' }, recipients: [{ address: 'node.to@rcpt.test' }],
  }));
  await call('transmissions.list', () => client.transmissions.list());
  await call('events.searchMessage', () => client.events.searchMessage({
    events: ['open', 'click'], from: asked.from, per_page: 2,
  }));
  await call('messageEvents.search', () => client.messageEvents.search({ events: ['open', 'click'], from: asked.from, per_page: 2 }));
  const list = client.suppressionList;
  await call('suppressionList.upsert', () => list.upsert([
    { recipient: 'node+one@rcpt.test', type: 'transactional', description: 'by node' },
    { email: 'node.two@rcpt.test', non_transactional: true },
  ]));
  await call('suppressionList.list', () => list.list({ types: 'transactional', limit: 5 }));
  await call('suppressionList.get', () => list.get('node.two@rcpt.test'));
  await call('suppressionList.delete', () => list.delete('node.two@rcpt.test'));
  const hooks = client.webhooks;
  const made = await call('webhooks.create', () => hooks.create({
    name: 'node', target: asked.target, events: ['click', 'open'], auth_token: 'token',
  }));
  const id = made ? made.results.id : 'none';
  await call('webhooks.list', () => hooks.list({ timezone: 'Europe/Berlin' }));
  await call('webhooks.get', () => hooks.get(id));
  await call('webhooks.update', () => hooks.update(id, { name: 'node again' }));
  await call('webhooks.validate', () => hooks.validate(id, { message: { msys: {} } }));
  await call('webhooks.getBatchStatus', () => hooks.getBatchStatus(id, { limit: 10 }));
  await call('webhooks.getDocumentation', () => hooks.getDocumentation());
  await call('webhooks.getSamples', () => hooks.getSamples({ events: ['click', 'open'] }));
  await call('webhooks.delete', () => hooks.delete(id));
  process.stdout.write(JSON.stringify(told));
}

all();
