// An OpenID-certified authorization server (oidc-provider) on loopback, set up the way mail servers meet one.
//
// Standard output carries one JSON line, printed when requests are answered; everything else goes to standard error.
// The process ends when its standard input closes, so it cannot outlive the tests that started it.
import * as crypto from 'node:crypto';
import * as http from 'node:http';
import { text } from 'node:stream/consumers';
import { Provider, errors } from 'oidc-provider';

const RESOURCE = 'urn:example:mail';
const SCOPE = 'mail.send';
const PASSWORD_USER = { user: 'person@example.org', password: 'canary-password-of-person' };

// The mail servers' policy lets everybody in but this user, whatever the token.
const BLOCKED = 'blocked@example.org';

// `mailbox` is the user of a client-credentials token, which has no user of its own; `lifetime` is in seconds;
// `padding` octets of one more claim make a long token.
const CLIENTS = {
  post: {},
  basic: { token_endpoint_auth_method: 'client_secret_basic' },
  opaque: { format: 'opaque' },
  public: { token_endpoint_auth_method: 'none', grant_types: ['password', 'refresh_token'] },
  browser: {
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1'],
    scope: `openid ${SCOPE} offline_access`,
  },
  brief: { lifetime: 2 },
  large: { padding: 8_520 },
  oversize: { format: 'opaque', padding: 12_288 },
  blocked: { mailbox: BLOCKED },
  other: { mailbox: 'other@example.org' },
  signed: { token_endpoint_auth_method: 'private_key_jwt', keys: true }, // it proves itself by one of CLIENT_KEYS
  introspector: { token_endpoint_auth_method: 'client_secret_basic', grant_types: [] },
};
const DEFAULTS = { format: 'jwt', lifetime: 3600, mailbox: 'sender@example.org', padding: 0 };

const CLIENT_KEYS = {
  rsa: crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ec: crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const clientJwks = {
  keys: Object.entries(CLIENT_KEYS).map(([kid, { publicKey }]) => ({ ...publicKey.export({ format: 'jwk' }), kid })),
};

const describe = (name) => {
  const { format, lifetime, mailbox, padding, keys, ...standard } = { ...DEFAULTS, ...CLIENTS[name] };
  return {
    extra: { format, lifetime, mailbox, padding },
    metadata: {
      client_id: name,
      client_secret: keys || standard.token_endpoint_auth_method === 'none' ? undefined : `canary-secret-of-${name}`,
      jwks: keys ? clientJwks : undefined,
      grant_types: ['client_credentials', 'refresh_token', 'password'],
      token_endpoint_auth_method: 'client_secret_post',
      redirect_uris: [],
      response_types: [],
      scope: `${SCOPE} offline_access`,
      ...standard,
    },
  };
};
const clients = Object.fromEntries(Object.keys(CLIENTS).map((name) => [name, describe(name)]));
const { privateKey, publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const signingKey = { ...privateKey.export({ format: 'jwk' }), kid: 'mail-1', use: 'sig', alg: 'RS256' };

const resourceServer = (client) => ({
  scope: SCOPE,
  audience: RESOURCE,
  accessTokenFormat: clients[client.clientId].extra.format,
  jwt: { sign: { alg: 'RS256' } },
});

const configuration = {
  clients: Object.values(clients).map(({ metadata }) => metadata),
  jwks: { keys: [signingKey] },
  scopes: ['openid', SCOPE, 'offline_access'],
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  extraTokenClaims: (_ctx, token) => {
    const { extra } = clients[token.clientId];
    const padding = extra.format === 'jwt' && extra.padding ? { padding: 'x'.repeat(extra.padding) } : {};
    return { email: token.accountId ?? extra.mailbox, ...padding };
  },
  formats: {
    // Dovecot 2.3 refuses the `at+jwt` of RFC 9068.
    customizers: { jwt: (_ctx, _token, parts) => { parts.header = { typ: 'JWT' }; } },
    bitsOfOpaqueRandomness: (_ctx, token) => Math.max(256, 8 * (clients[token.clientId]?.extra.padding ?? 0)),
  },
  rotateRefreshToken: true,
  ttl: {
    RefreshToken: 86_400,
    Grant: 86_400,
    AccessToken: (_ctx, token) => clients[token.clientId].extra.lifetime,
    ClientCredentials: (_ctx, token) => clients[token.clientId].extra.lifetime,
  },
  features: {
    deviceFlow: { enabled: true, charset: 'digits' },
    devInteractions: { enabled: true }, // pages that let anybody in, by any name
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      getResourceServerInfo: (_ctx, _indicator, client) => resourceServer(client),
      useGrantedResource: () => true,
    },
  },
};

// --- tokens for a user, for the password grant and for the tests -------------------------------------------------

async function tokensFor(provider, client, user, lifetime) {
  const grant = new provider.Grant({ accountId: user, clientId: client.clientId });
  grant.addResourceScope(RESOURCE, SCOPE);
  const shared = { accountId: user, client, grantId: await grant.save(), gty: 'password' };
  const access = new provider.AccessToken({ ...shared, scope: SCOPE });
  access.resourceServer = new provider.ResourceServer(RESOURCE, resourceServer(client));
  if (lifetime) access.expiresIn = lifetime;
  const refresh = new provider.RefreshToken({ ...shared, scope: SCOPE, resource: RESOURCE });
  return {
    access_token: await access.save(),
    expires_in: access.expiration,
    refresh_token: await refresh.save(),
    scope: SCOPE,
    token_type: 'Bearer',
  };
}

// RFC 6749 4.3: certified servers no longer offer this grant, mail providers' customers still use it.
async function passwordGrant(ctx) {
  const { username, password } = ctx.oidc.params;
  if (username !== PASSWORD_USER.user || password !== PASSWORD_USER.password) {
    throw new errors.InvalidGrant('the user name or the password is wrong');
  }
  ctx.body = await tokensFor(ctx.oidc.provider, ctx.oidc.client, username);
}

// oidc-provider refuses to introspect JWTs (400), which Dovecot 2.3 takes for a failure of its own and answers 454. "Not
// active" is what RFC 7662 2.2 has for a token this endpoint does not vouch for.
async function introspectAnything(ctx, next) {
  await next();
  if (ctx.oidc?.route === 'introspection' && ctx.status === 400) {
    ctx.status = 200;
    ctx.body = { active: false };
  }
}

// --- what tests ask and set ---------------------------------------------------------------------------------------

async function answerPolicy(request) {
  const { login } = JSON.parse(await text(request));
  return login === BLOCKED ? { status: -1, msg: 'this account may not send' } : { status: 0, msg: 'ok' };
}

const counts = { token: 0, introspection: 0 };
const failing = {}; // endpoint -> HTTP status it answers until it is cleared
const ENDPOINTS = { '/token': 'token', '/token/introspection': 'introspection' };

async function answerTest(provider, url) {
  const client = await provider.Client.find(url.searchParams.get('client') ?? 'post');
  const user = url.searchParams.get('user') ?? DEFAULTS.mailbox;
  switch (url.pathname) {
    case '/test/counts':
      return counts;
    case '/test/refresh-token':
      return { refresh_token: (await tokensFor(provider, client, user)).refresh_token };
    case '/test/access-token': {
      const lifetime = url.searchParams.get('lifetime');
      return { access_token: (await tokensFor(provider, client, user, lifetime && Number(lifetime))).access_token };
    }
    case '/test/failing':
      failing[url.searchParams.get('endpoint')] = Number(url.searchParams.get('status'));
      return failing;
    default:
      return undefined;
  }
}

function sendJson(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function answer(provider, oidc, request, response) {
  const url = new URL(request.url, provider.issuer);
  if (url.pathname.startsWith('/test/')) {
    const body = await answerTest(provider, url);
    sendJson(response, body ? 200 : 404, body ?? { error: 'not_found' });
    return;
  }
  if (url.pathname === '/policy') {
    sendJson(response, 200, await answerPolicy(request));
    return;
  }
  const endpoint = ENDPOINTS[url.pathname];
  if (endpoint) counts[endpoint] += 1;
  if (failing[endpoint]) {
    request.resume(); // read the form, so that the connection stays usable
    sendJson(response, failing[endpoint], { error: 'temporarily_unavailable' });
    return;
  }
  oidc(request, response);
}

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  const dupes = [];
  provider.registerGrantType('password', passwordGrant, ['username', 'password', 'scope'], dupes);
  provider.use(introspectAnything);
  provider.on('server_error', (_ctx, error) => console.error(error));
  provider.on('grant.error', (_ctx, error) => console.error(`grant refused: ${error.error_detail ?? error.message}`));
  const oidc = provider.callback();
  server.on('request', (request, response) => {
    answer(provider, oidc, request, response).catch((error) => {
      console.error(error);
      sendJson(response, 500, { error: String(error) });
    });
  });
  console.log(JSON.stringify({
    issuer,
    token_url: `${issuer}/token`,
    authorize_url: `${issuer}/auth`,
    policy_url: `${issuer}/policy`,
    introspection_url: `${issuer}/token/introspection`,
    key: { kid: signingKey.kid, pem: publicKey.export({ format: 'pem', type: 'spki' }) },
    password_user: PASSWORD_USER,
    client_keys: Object.fromEntries(Object.entries(CLIENT_KEYS).map(([kid, { privateKey }]) => [
      kid, privateKey.export({ format: 'pem', type: 'pkcs8' }),
    ])),
    scope: SCOPE,
    clients: Object.fromEntries(Object.entries(clients).map(([name, { extra, metadata }]) => [name, {
      id: metadata.client_id, secret: metadata.client_secret ?? '', mailbox: extra.mailbox, lifetime: extra.lifetime,
    }])),
  }));
});
process.stdin.resume().on('end', () => process.exit(0));
