/** A tool that both clients know. */

export const TOOL_QUESTION = [{ role: 'user', content: 'What is the weather in Paris for 3 days?' }];
export const WEATHER = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};

/** Whether these are arguments of the tool. */
export function isWeather({ city, days, ...others }) {
  const known = WEATHER.properties.city.enum.includes(city);
  return known && Number.isInteger(days) && days >= 1 && days <= 9 && Object.keys(others).length === 0;
}
