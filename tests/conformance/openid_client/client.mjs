// A machine client as its author would write it with openid-client: discovery, token, introspection, revocation.
// Reads one JSON object from stdin, writes one to stdout; test_real_clients.py judges what it says.

import { readFileSync } from 'node:fs';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oauth from 'openid-client';

const given = JSON.parse(readFileSync(0, 'utf8'));
const issuer = new URL(given.issuer);
const methods = { client_secret_post: oauth.ClientSecretPost, client_secret_basic: oauth.ClientSecretBasic };

function discovered(algorithm, method, secret) {
  const options = { execute: [oauth.allowInsecureRequests], algorithm }; // the test server speaks plain http
  return oauth.discovery(issuer, given.client_id, undefined, methods[method](secret), options);
}

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return { name: error.constructor.name, code: error.code, error: error.error, status: error.status };
  }
  return null;
}

async function lifeOfAToken(algorithm) {
  const config = await discovered(algorithm, given.method, given.client_secret);
  const parameters = { scope: 'read', resource: given.resource };
  const granted = await oauth.clientCredentialsGrant(config, parameters);
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
  const expected = { issuer: given.issuer, audience: given.resource, typ: 'at+jwt' };
  const verified = await jwtVerify(granted.access_token, keys, expected);
  const before = await oauth.tokenIntrospection(config, granted.access_token);
  await oauth.tokenRevocation(config, granted.access_token);
  const after = await oauth.tokenIntrospection(config, granted.access_token);
  return { granted, payload: verified.payload, before, after };
}

const impostor = await discovered('oauth2', given.method, 'not the secret');
const honest = await discovered('oauth2', given.method, given.client_secret);
const said = {
  oauth2: await lifeOfAToken('oauth2'),
  oidc: await lifeOfAToken('oidc'),
  wrong_secret: await errorOf(oauth.clientCredentialsGrant(impostor)),
  wrong_scope: await errorOf(oauth.clientCredentialsGrant(honest, { scope: 'everything' })),
  wrong_resource: await errorOf(oauth.clientCredentialsGrant(honest, { resource: 'https://nowhere.example.com' })),
};
process.stdout.write(JSON.stringify(said));
