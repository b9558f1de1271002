// A GraphQL API over HTTP by npm's graphql and graphql-http.
//
//   node graphql.mjs PORT
//
// Orders are asked for at /graphql, and changed by mutations; `fail` makes every query of them fail.
import { createServer } from 'node:http';
import { buildSchema } from 'graphql';
import { createHandler } from 'graphql-http/lib/use/http';

const schema = buildSchema(`
  type Order { id: ID! name: String! total: Float! }
  type Query { orders(named: String): [Order!]! }
  type Mutation {
    add(id: ID!, name: String!, total: Float!): Order!
    rename(id: ID!, name: String!): Order!
    remove(id: ID!): Boolean!
    fail(now: Boolean!): Boolean!
  }
`);

const orders = new Map();
let isFailing = false;

const rootValue = {
  orders({ named }) {
    if (isFailing) throw new Error('the orders are out of order');
    return [...orders.values()].filter(({ name }) => name.includes(named ?? ''));
  },
  add(order) {
    orders.set(order.id, order);
    return order;
  },
  rename({ id, name }) {
    const order = { ...orders.get(id), name };
    orders.set(id, order);
    return order;
  },
  remove({ id }) {
    return orders.delete(id);
  },
  fail({ now }) {
    isFailing = now;
    return now;
  },
};

createServer(createHandler({ schema, rootValue })).listen(Number(process.argv[2]), '127.0.0.1');
