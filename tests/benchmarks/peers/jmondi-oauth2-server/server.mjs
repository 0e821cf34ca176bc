// @jmondi/oauth2-server on bare node:http: one process, memory repositories, one client, ES256.
//
// Environment:
//   PORT            loopback port to listen on
//   CLIENT_ID       the one client, which authenticates with client_secret_basic …
//   CLIENT_SECRET   … and this secret
//   AUDIENCE        the audience of every token
import { createHash, generateKeyPairSync, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { AuthorizationServer, DateInterval, OAuthRequest } from '@jmondi/oauth2-server';
import { handleVanillaError } from '@jmondi/oauth2-server/vanilla';
import jsonwebtoken from 'jsonwebtoken';

const { PORT, CLIENT_ID, CLIENT_SECRET, AUDIENCE } = process.env;
const ISSUER = `http://127.0.0.1:${PORT}`;
const LIFETIME = new DateInterval('1h');
const KEPT_TOKENS = 50_000;

// -- keys: the documented JwtInterface, with an asymmetric key ----------------------------------

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function settle(resolve, reject) {
  return (error, value) => (error ? reject(error) : resolve(value));
}

const jwtService = {
  sign(payload) {
    const options = { algorithm: 'ES256', keyid: 'benchmark' };
    return new Promise((resolve, reject) => {
      jsonwebtoken.sign(payload, privateKey, options, settle(resolve, reject));
    });
  },
  verify(token, options = {}) {
    return new Promise((resolve, reject) => {
      jsonwebtoken.verify(token, publicKey, { ...options, algorithms: ['ES256'] }, settle(resolve, reject));
    });
  },
  decode: (token) => jsonwebtoken.decode(token),
  extraTokenFields: () => ({ iss: ISSUER, aud: AUDIENCE }),
};

// -- repositories: everything in memory, the secret as a digest ---------------------------------

function digest(secret) {
  return createHash('sha256').update(secret).digest();
}

const scopes = new Map(['read', 'write'].map((name) => [name, { name }]));
const client = {
  id: CLIENT_ID,
  name: 'benchmark',
  secret: digest(CLIENT_SECRET).toString('hex'),
  redirectUris: [],
  allowedGrants: ['client_credentials'],
  scopes: [...scopes.values()],
};
const clients = new Map([[client.id, client]]);
const tokens = new Map();

const clientRepository = {
  getByIdentifier: async (id) => clients.get(id),
  isClientValid: async (grant, { allowedGrants, secret }, presented = '') =>
    allowedGrants.includes(grant) && timingSafeEqual(digest(presented), Buffer.from(secret, 'hex')),
};

const scopeRepository = {
  getAllByIdentifiers: async (names) => names.map((name) => scopes.get(name)).filter(Boolean),
  finalize: async (granted) => granted,
};

const tokenRepository = {
  issueToken: async (owner, granted, user) => ({
    accessToken: randomUUID(),
    accessTokenExpiresAt: LIFETIME.getEndDate(),
    client: owner,
    scopes: granted,
    user,
  }),
  async persist(token) {
    tokens.set(token.accessToken, token);
    if (tokens.size > KEPT_TOKENS) tokens.delete(tokens.keys().next().value);
  },
  async getByAccessToken(id) {
    if (!tokens.has(id)) throw new Error('no such token');
    return tokens.get(id);
  },
  revoke: async (token) => void tokens.delete(token.accessToken),
  issueRefreshToken: async (token) => token,
  isRefreshTokenRevoked: async () => true,
  getByRefreshToken: async () => {
    throw new Error('no refresh tokens here');
  },
};

// -- the server ---------------------------------------------------------------------------------

const authorizationServer = new AuthorizationServer(clientRepository, tokenRepository, scopeRepository, jwtService);
authorizationServer.enableGrantTypes(['client_credentials', LIFETIME]);

const endpoints = {
  'POST /token': (request) => authorizationServer.respondToAccessTokenRequest(request),
  'POST /introspect': (request) => authorizationServer.introspect(request),
  'GET /ready': async () => ({ status: 200, headers: {}, body: {} }),
};

async function answer(endpoint, headers, form) {
  try {
    const body = Object.fromEntries(new URLSearchParams(form));
    return await endpoint(new OAuthRequest({ query: {}, headers, body }));
  } catch (error) {
    return handleVanillaError(error);
  }
}

function send(response, { status, headers, body }) {
  const text = JSON.stringify(body);
  const length = Buffer.byteLength(text);
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-length': length,
  });
  response.end(text);
}

createServer((request, response) => {
  const endpoint = endpoints[`${request.method} ${request.url}`];
  if (!endpoint) {
    response.writeHead(404).end();
    return;
  }
  let form = '';
  request.on('data', (chunk) => {
    form += chunk;
  });
  request.on('end', async () => send(response, await answer(endpoint, request.headers, form)));
}).listen(Number(PORT), '127.0.0.1');
