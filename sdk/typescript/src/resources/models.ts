/** `client.models`. */

import type { RequestOptions } from '../settings.js';
import type { Transport } from '../transport/transport.js';
import { type Model, type ModelList, readModel, readModels } from '../types/model.js';

const PATH = '/v1/models';

export class Models {
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The models that the tenant may name. */
  async list(options?: RequestOptions): Promise<ModelList> {
    return readModels(await this.#transport.json({ path: PATH }, options));
  }

  /** One model. A name may have slashes. */
  async retrieve(id: string, options?: RequestOptions): Promise<Model> {
    const path = `${PATH}/${id.split('/').map(encodeURIComponent).join('/')}`;
    return readModel(await this.#transport.json({ path }, options));
  }
}
